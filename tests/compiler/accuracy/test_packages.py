"""What is said of models beside Google's packages, where those are at hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import zoo
from compiler.accuracy import compare, compare_zoo
from compiler.accuracy.__main__ import main
from compiler.accuracy.packages import as_markdown as packages_as_markdown
from compiler.accuracy.packages import cuts_as_markdown
from compiler.accuracy.segments import segments_as_markdown
from compiler.supported import as_markdown
from tests.compiler.chain import shared_model
from tests.tiny import tiny_chain

DOCS = Path(__file__).resolve().parents[3] / "docs" / "compiler.md"
COMPILED_MODELS = DOCS.with_name("compiled-models.md")


def test_operators_left_to_the_cpu_are_those_google_leaves() -> None:
    """A segmentation network, a pose decoder, a recurrent one, a network behind float inputs."""
    names = (
        "deeplabv3_mnv2_dm05_pascal_quant",
        "keras_lstm_mnist_ptq",
        "mobilenet_v1_0.25_128_quant",
        "posenet_mobilenet_v1_075_353_481_16_quant_decoder",
        "split_concat",
        "yamnet_spectra_in",
    )
    folder = Path(shared_model(names[0])).parent
    found = {one.model: one for one in compare([folder])}
    for name in names:
        ours, google = found[name].ours, found[name].google
        assert ours is not None
        assert google is not None
        assert ours.cpu_operators == google.cpu_operators, name


def test_a_model_without_a_package_is_shown_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.tflite").write_bytes(tiny_chain())
    (tmp_path / "bad.tflite").write_bytes(b"nothing")
    shutil.copy(tmp_path / "net.tflite", tmp_path / "net_edgetpu.tflite")  # not Google's
    assert main([str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "| net | 0 | 0 | 0 |" in table
    assert "| bad | refused: " in table
    assert "packages:" not in table
    assert main([str(tmp_path), "--json"]) == 0
    bad, net = json.loads(capsys.readouterr().out)
    assert (bad["ours"], net["google"]) == (None, None)


def test_a_folder_without_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no .tflite file" in capsys.readouterr().err


def test_the_page_shows_the_table_that_decides() -> None:
    page = DOCS.read_text(encoding="utf-8")
    shown = page.split("<!-- supported -->\n")[1].split("\n<!-- end -->")[0]
    assert shown == as_markdown()


def test_the_page_of_compiled_models_shows_the_zoo() -> None:
    """Every network; of the cheap ones, what the command writes today."""
    page = COMPILED_MODELS.read_text(encoding="utf-8")
    shown, cuts = section(page, "zoo"), section(page, "cuts")
    for name in zoo.names():
        assert f"\n| {name} | " in shown
        assert f"\n| {name} | " in cuts
    cheap = ("mobilenet_v1_0.25_128", "ssd_mobilenet_v1_coco", "synthetic_fc5_N100")
    told: list[str] = []
    found = list(compare_zoo(cheap, told.append))
    for row in packages_as_markdown(found).splitlines()[2 : 2 + len(cheap)]:
        assert row in shown.splitlines()
    for row in cuts_as_markdown(found).splitlines()[2:]:
        assert row in cuts.splitlines()
    assert told[1] == "2 of 3: ssd_mobilenet_v1_coco"


def test_the_page_shows_the_segments_beside_googles() -> None:
    page = COMPILED_MODELS.read_text(encoding="utf-8")
    assert section(page, "segments") == segments_as_markdown()


def section(page: str, name: str) -> str:
    return page.split(f"<!-- {name} -->\n")[1].split("\n<!-- end -->")[0]
