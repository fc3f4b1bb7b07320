"""``edgetpu-quantize`` as a user meets it; what needs ai-edge-quantizer is skipped without it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from compiler import compile_graph, read_graph
from compiler.quantizing import cli, command
from compiler.quantizing.arguments import Arguments
from devices.errors import ConfigError, ModelError
from tests.tiny import FLOAT32, Tiny
from zoo.builder import GraphBuilder
from zoo.draft import Tensor

ROOT = Path(__file__).resolve().parents[3]
needs_quantizer = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_quantizer") is None, reason="needs ai-edge-quantizer"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in, with the temporary files of the command beside it."""
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if ai-edge-quantizer were there, for what does not get as far as needing it."""
    monkeypatch.setattr(command, "check_installed", lambda: None)


def float_model(path: Path) -> None:
    tiny = Tiny()
    x, y = (tiny.tensor(name, type_=FLOAT32, scale=None) for name in "xy")
    tiny.relu(x, y)
    path.write_bytes(tiny.ends([x], [y]).build())


def samples(path: Path, count: int = 12, **shapes: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    arrays = {name: random.uniform(-1, 1, (count, *shape)) for name, shape in shapes.items()}
    np.savez(path, **arrays)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    *progress, sentence = captured.err.splitlines()
    assert all(line.split(" (")[0] for line in progress)
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "No model was given"),
        (["m.tflite"], "No representative_data"),
        (["m.tflite", "--representative_data", "d", "--samples", "many"], "samples is 'many'"),
        (["m.tflite", "--representative_data", "d", "--samples", "0"], "from 1 on"),
        (["m.tflite", "--representative_data", "d", "--seed", "-1"], "seed is '-1'"),
        (["m.tflite", "--representative_data", "d", "--held_back", "1"], "below 1"),
        (["m.tflite", "--representative_data", "d", "--mean", "a,b"], "mean is 'a,b'"),
        (["m.tflite", "--representative_data", "d", "--std", "1,0"], "std is '1,0'"),
        (["m.tflite", "--representative_data", "d", "--input_type", "int4"], "int4"),
    ],
)
def test_options_that_make_no_sense_are_said(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert part in refused(capsys, *arguments)


def test_help_is_answered_without_what_quantises() -> None:
    script = (
        "from compiler.quantizing import cli\ncli.main(['--help'])\n"
        "import sys; print(*sorted({'numpy', 'ai_edge_litert'} & set(sys.modules)), end='END')"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--representative_data" in told.stdout
    assert told.stdout.endswith("\nEND")


def test_without_the_package_it_says_what_to_install(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    said = refused(capsys, "model.tflite", "--representative_data", "data.npz")
    assert 'pip install "edgetpu-pipeline[quantize]"' in said


def test_the_compiler_names_the_command_for_a_float_model(place: Path) -> None:
    float_model(place / "m.tflite")
    with pytest.raises(ModelError, match="edgetpu-quantize"):
        compile_graph(read_graph("m.tflite"))


@pytest.mark.usefixtures("installed")
def test_models_that_are_no_float_models_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    tiny.relu(x, y)
    (place / "int8.tflite").write_bytes(tiny.ends([x], [y]).build())
    tiny = Tiny()
    x, y = (tiny.tensor(name, type_=FLOAT32, scale=None) for name in "xy")
    weights = tiny.tensor("w", (4, 4), data=np.ones((4, 4), np.int8))
    tiny.operator("FULLY_CONNECTED", [x, weights], [y], schema.FullyConnectedOptionsT())
    (place / "weights.tflite").write_bytes(tiny.ends([x], [y]).build())
    for name, part in (
        ("int8.tflite", "already quantised (tensor x is int8)"),
        ("weights.tflite", "quantised weights (tensor w is int8)"),
        ("none.tflite", "does not exist"),
    ):
        assert part in refused(capsys, name, "--representative_data", "data.npz")


@pytest.mark.usefixtures("installed")
def test_too_few_samples_and_outputs_in_the_way_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    float_model(place / "m.tflite")
    before = (place / "m.tflite").read_bytes()
    samples(place / "few.npz", 3, x=(4,))
    given = ["m.tflite", "--representative_data", "few.npz"]
    said = refused(capsys, *given)
    assert "holds 3 samples" in said
    assert "--samples 3" in said
    assert "only one" not in said
    assert "one sample only" in refused(capsys, *given, "--samples", "1")
    assert "is a directory" in refused(capsys, *given, "-o", ".")
    assert "write over the input" in refused(capsys, *given, "-o", "m.tflite")
    assert sorted(path.name for path in place.iterdir()) == ["few.npz", "m.tflite"]
    assert (place / "m.tflite").read_bytes() == before


def test_samples_are_drawn_at_random_and_held_back_by_share() -> None:
    numbered: Any = list(range(50))
    draw = command.drawn(numbered, Arguments(samples=20, seed=3))
    assert len(set(map(id, draw))) == 20
    assert draw == command.drawn(numbered, Arguments(samples=20, seed=3))
    assert draw != command.drawn(numbered, Arguments(samples=20, seed=4))
    assert [command.held_back_of(20, share) for share in (0, 0.01, 0.2, 0.99)] == [0, 1, 4, 19]
    with pytest.raises(ConfigError, match="--held_back 0"):
        command.held_back_of(1, 0.2)


@pytest.mark.usefixtures("installed")
@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for the interpreter")
def test_a_process_that_dies_is_a_sentence_that_says_while_doing_what(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    float_model(place / "m.tflite")
    samples(place / "data.npz", x=(4,))
    dying = place / "python"
    dying.write_text(
        "#!/bin/sh\nprintf 'calibrating\\t3\\t8\\n'\necho 'Check failed: no' >&2\nkill -SEGV $$\n"
    )
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    said = refused(capsys, "m.tflite", "--representative_data", "data.npz", "-o", "out.tflite")
    for part in ("m.tflite", "SIGSEGV", "while calibrating", "Check failed: no"):
        assert part in said
    assert not (place / "out.tflite").exists()
    assert list((place.parent / "temporary").iterdir()) == []


@pytest.mark.usefixtures("installed")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_a_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    float_model(place / "m.tflite")
    samples(place / "data.npz", x=(4,))
    monkeypatch.setattr(command, "samples_file", lambda directory, index: Path("/dev/full"))
    said = refused(capsys, "m.tflite", "--representative_data", "data.npz")
    assert "No space left" in said
    assert "TMPDIR" in said


def quantised(place: Path, data: bytes, *options: str, **shapes: tuple[int, ...]) -> Any:
    """Runs the command as a user does; the JSON it prints."""
    (place / "m.tflite").write_bytes(data)
    samples(place / "data.npz", 24, **shapes)
    asked = ["m.tflite", "--representative_data", "data.npz", "-o", "q.tflite", "--json", *options]
    done = subprocess.run(
        [sys.executable, "-m", "compiler.quantizing.cli", *asked],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "calibrating" in done.stderr
    return json.loads(done.stdout)


def residual_network() -> bytes:
    """Two inputs, and what ResNets and MobileNets are made of."""
    graph = GraphBuilder("both")
    image, other = graph.input("image", (1, 8, 8, 3)), graph.input("other", (1, 8, 8, 8))
    x = graph.conv(image, 8, 3, name="conv", activation="relu6")
    y = graph.depthwise(x, 3, name="depthwise", activation="relu6")
    y = graph.conv(y, 8, 1, name="project")
    z = graph.add(graph.add(x, y, name="sum", activation="relu"), other, name="both")
    classes: Tensor = graph.fully_connected(graph.mean(z, name="mean"), 5, name="logits")
    graph.output(graph.softmax(classes, name="scores"), z)
    return graph.build(floating=True)


@needs_quantizer
def test_a_network_without_signature_becomes_one_that_maps_completely(place: Path) -> None:
    told = quantised(
        place, residual_network(), "--input_type", "uint8", image=(8, 8, 3), other=(8, 8, 8)
    )
    assert [(one["name"], one["dtype"]) for one in told["inputs"]] == [
        ("image", "uint8"),
        ("other", "uint8"),
    ]
    assert [one["dtype"] for one in told["outputs"]] == ["int8", "int8"]
    assert told["float_operators"] == []
    assert (told["calibration_samples"], told["held_back_samples"]) == (19, 5)
    scores, map_ = told["likeness"]
    assert scores["snr_db"] > 15
    assert scores["cosine"] > 0.98
    assert map_["snr_db"] > 20
    assert map_["top1_agreement"] is None
    graph = read_graph(place / "q.tflite")
    assert compile_graph(graph).report.mapped_operators == len(graph)


def with_exp(*, in_the_middle: bool) -> bytes:
    """RELU, EXP (which the package does not quantise), and perhaps RELU; else with a signature."""
    tiny = Tiny()
    x, y, z, end = (tiny.tensor(name, type_=FLOAT32, scale=None) for name in ("x", "y", "z", ""))
    tiny.relu(x, y)
    tiny.operator("EXP", [y], [z], schema.ExpOptionsT())
    if in_the_middle:
        tiny.relu(z, end)
    else:
        signature = schema.SignatureDefT()
        signature.signatureKey = "serve"
        into, out = schema.TensorMapT(), schema.TensorMapT()
        into.name, into.tensorIndex, out.name, out.tensorIndex = "keras_x", x, "keras_z", z
        signature.inputs, signature.outputs = [into], [out]
        tiny.model.signatureDefs = [signature]
    return tiny.ends([x], [end if in_the_middle else z]).build()


@needs_quantizer
def test_operators_that_stay_in_float_are_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = quantised(place, with_exp(in_the_middle=True), "--allow_float", x=(4,))
    assert [one["kind"] for one in told["float_operators"]] == ["EXP"]
    (place / "q.tflite").unlink()
    said = refused(capsys, "m.tflite", "--representative_data", "data.npz", "-o", "q.tflite")
    assert "1 of" in said
    assert "EXP" in said
    assert "--allow_float" in said
    assert not (place / "q.tflite").exists()


@needs_quantizer
def test_an_operator_behind_the_network_may_stay_in_float(place: Path) -> None:
    told = quantised(place, with_exp(in_the_middle=False), keras_x=(4,), label=())
    assert [one["kind"] for one in told["float_operators"]] == ["EXP"]
    assert [one["dtype"] for one in told["outputs"]] == ["float32"]
    assert told["likeness"][0]["snr_db"] > 30
    runner = Interpreter(model_path=str(place / "q.tflite")).get_signature_runner("serve")
    assert list(runner.get_input_details()) == ["keras_x"]
    assert runner.get_input_details()["keras_x"]["dtype"] == np.int8
    made = runner(keras_x=np.full((1, 4), 127, np.int8))["keras_z"]
    scale, zero_point = runner.get_input_details()["keras_x"]["quantization"]
    assert made == pytest.approx(np.exp((127 - zero_point) * scale), rel=0.02)
