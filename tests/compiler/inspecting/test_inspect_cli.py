"""The ``edgetpu-inspect`` command: output, exit codes, refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import edgetpu_pipeline
from compiler import CompileOptions, compile_graph, graph_from_bytes
from compiler.inspecting import cli
from tests.tiny import Tiny, tiny_chain
from zoo.random_graph import random_graph

ROOT = Path(__file__).resolve().parents[3]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def model_file(name: str = "m.tflite", data: bytes | None = None) -> str:
    Path(name).write_bytes(random_graph(1, 12) if data is None else data)
    return name


def said(capsys: Capture, *arguments: str, code: int = 0) -> str:
    assert cli.main(arguments) == code
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def refused(capsys: Capture, *arguments: str) -> str:
    before = set(Path().iterdir())
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert set(Path().iterdir()) == before
    return printed.err


def test_a_table_of_80_columns(capsys: Capture) -> None:
    lines = said(capsys, model_file()).splitlines()
    assert lines[0] == "m.tflite"
    assert max(map(len, lines)) <= 80
    for title in ("Model", "edgetpu_compiler", "Inputs", "Outputs"):
        assert title in lines


def test_json_is_everything(capsys: Capture) -> None:
    document = json.loads(said(capsys, model_file(), "--json"))
    (model,) = document["models"]
    assert document["comparison"] is None
    assert model["prediction"]["refusal"] == ""
    (graph,) = model["subgraphs"]
    assert [one["index"] for one in graph["operators"]] == list(range(12))
    assert {one["runs_on"] for one in graph["operators"]} <= {"tpu", "cpu"}
    assert model["macs"] == sum(one["macs"] for one in graph["operators"])


@pytest.mark.parametrize(
    "option", ["-a", "--enable_multiple_subgraphs", "-enable-multiple-subgraphs"]
)
def test_several_parts_are_predicted_as_they_are_compiled(option: str, capsys: Capture) -> None:
    tiny = Tiny()
    tensors = [tiny.tensor(name) for name in "abcd"]
    for kind, (before, after) in zip(("RELU", "ABS", "RELU"), pairwise(tensors), strict=True):
        tiny.operator(kind, [before], [after], version=2)
    data = tiny.ends(tensors[:1], tensors[-1:]).build()
    name = model_file(data=data)
    assert [one["runs_on"] for one in operators(capsys, name)] == ["tpu", "cpu", "cpu"]
    assert [one["runs_on"] for one in operators(capsys, option, name)] == ["tpu", "cpu", "tpu"]
    assert "would map           2 of 3 operators, 66.7% of the work, in 2 parts" in said(
        capsys, name, option
    )
    several = CompileOptions(enable_multiple_subgraphs=True)
    report = compile_graph(graph_from_bytes(data, "m"), several).report
    assert [one.operators for one in report.subgraphs] == [(0,), (2,)]


def operators(capsys: Capture, *arguments: str) -> list[dict[str, Any]]:
    (model,) = json.loads(said(capsys, *arguments, "--json"))["models"]
    found: list[dict[str, Any]] = model["subgraphs"][0]["operators"]
    return found


def test_two_files_are_compared_by_exit_code(capsys: Capture) -> None:
    first, second = model_file("a.tflite"), model_file("b.tflite", random_graph(2, 12))
    same = model_file("c.tflite")
    assert said(capsys, first, second, code=1).startswith("- a.tflite\n+ b.tflite\n")
    assert "byte for byte" in said(capsys, first, same)
    document = json.loads(said(capsys, first, second, "--json", code=1))
    assert document["comparison"]["equal"] is False
    assert document["comparison"]["differences"]
    assert len(document["models"]) == 2


def test_more_than_two_come_one_after_the_other(capsys: Capture) -> None:
    names = [model_file(f"{i}.tflite", random_graph(i, 3)) for i in range(3)]
    lines = said(capsys, *names).splitlines()
    assert [line for line in lines if line in names] == names


def test_a_page_is_written(capsys: Capture) -> None:
    said(capsys, model_file(), "--html", "pages/m.html")
    assert Path("pages/m.html").read_text(encoding="utf-8").startswith("<!doctype html>")


WHOLE = random_graph(1, 12)
UNUSABLE = {
    "empty": (b"", "is empty"),
    "a text": (b"hello, this is no model", "not a .tflite file"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "truncated": (WHOLE[: len(WHOLE) // 2], "truncated or damaged"),
    "four bytes": (WHOLE[:4], "not a .tflite file"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_files_that_are_no_models(kind: str, capsys: Capture) -> None:
    data, expected = UNUSABLE[kind]
    sentence = refused(capsys, model_file("bad.tflite", data))
    assert sentence.startswith("bad.tflite")
    assert expected in sentence
    both = refused(capsys, model_file("good.tflite"), "bad.tflite", "--html", "page.html")
    assert both == sentence


def test_what_is_no_file(capsys: Capture) -> None:
    Path("folder").mkdir()
    assert "is a directory" in refused(capsys, "folder")
    assert "does not exist" in refused(capsys, "gone.tflite")
    assert "No file was given" in refused(capsys)
    assert "unrecognized arguments" in refused(capsys, model_file(), "--wrong")


def test_an_executable_cut_off(capsys: Capture) -> None:
    data = compile_graph(graph_from_bytes(random_graph(1, 12), "m.tflite")).data
    for end in (len(data) // 2, 100, 4):
        assert refused(capsys, model_file("cut.tflite", data[:end])).startswith("cut.tflite")


def test_a_page_never_replaces_a_model(capsys: Capture) -> None:
    name = model_file()
    assert "write over the model" in refused(capsys, name, "--html", name)
    assert Path(name).read_bytes() == random_graph(1, 12)
    Path("folder").mkdir()
    assert "is a directory" in refused(capsys, name, "--html", "folder")


def test_help_teaches_and_says_the_exit_codes(capsys: Capture) -> None:
    text = said(capsys, "--help")
    assert "examples:" in text
    for code in ("Exit code 0", "1 when something does", "2 when a file"):
        assert code in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_version(capsys: Capture) -> None:
    assert edgetpu_pipeline.VERSION in said(capsys, "--version")


ENTRY = "import sys, edgetpu_pipeline; sys.exit(edgetpu_pipeline.edgetpu_inspect())"
SURROUNDINGS = {**os.environ, "PYTHONPATH": str(ROOT)}


def test_help_does_not_wait_for_numpy() -> None:
    code = (
        "import sys, edgetpu_pipeline; edgetpu_pipeline.edgetpu_inspect(); "
        "print('numpy' in sys.modules, file=sys.stderr)"
    )
    for argument, needs_it in (("--help", "False\n"), (model_file(), "True\n")):
        done = subprocess.run(
            [sys.executable, "-c", code, argument],
            env=SURROUNDINGS,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == needs_it


def test_it_is_installed_as_a_command() -> None:
    scripts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'edgetpu-inspect = "edgetpu_pipeline:edgetpu_inspect"' in scripts


def test_a_reader_that_has_left() -> None:
    model_file("m.tflite", tiny_chain())
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as nobody:
        done = subprocess.run(
            [sys.executable, "-c", ENTRY, "m.tflite"],
            env=SURROUNDINGS,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, "")
