"""Compiling from Python: the same files as the command, and errors of one sentence."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import compiler
from compiler import CompiledModel, CompileOptions, cli, compile_file, graph_from_bytes
from devices.errors import ConfigError, EdgeTpuError, ModelError
from devices.executable import read_executable
from tests.compiler.mapping.test_mapping import branches
from tests.tiny import Tiny, tiny_chain
from zoo.random_graph import random_graph

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(random_graph(1, 12))
    return path


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        (CompileOptions(), []),
        (CompileOptions(num_segments=3), ["-n", "3"]),
        (CompileOptions(num_segments=3, order="file"), ["-n", "3", "--order", "file"]),
        (CompileOptions(cut_at=(4, "#8")), ["--cut_at", "4,8"]),
        (CompileOptions(cut_at=("8",), order="coral"), ["--cut_at=8", "--order=coral"]),
        (CompileOptions(min_runtime_version=10), ["-m", "10"]),
    ],
)
def test_the_same_files_as_the_command(
    model: Path, tmp_path: Path, options: CompileOptions, flags: list[str]
) -> None:
    assert cli.main([*flags, "-o", str(tmp_path / "command"), str(model)]) == 0
    made = compile_file(model, options)
    paths = made.save(tmp_path / "python")
    assert [path.read_bytes() for path in paths] == [one.data for one in made.segments]
    found, expected = (
        {path.name: path.read_bytes() for path in (tmp_path / room).iterdir()}
        for room in ("python", "command")
    )
    assert found == expected


def test_intermediate_tensors(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(tiny_chain(4))
    made = compile_file(tmp_path / "m.tflite", CompileOptions(intermediate_tensors=("t2",)))
    assert made.report.mapped_operators == 2
    assert "reads 't2', which intermediate_tensors names" in made.reasons


def test_the_report_is_that_of_all_segments() -> None:
    data = branches()[0].build()
    options = CompileOptions(num_segments=2)
    made = compiler.models.compile_model(graph_from_bytes(data, "m.tflite"), options)
    assert [one.index for one in made.report.details] == list(range(6))
    for field in ("output_bytes", "used_on_chip_bytes", "off_chip_bytes", "mapped_operators"):
        total = sum(getattr(segment.report, field) for segment in made.segments)
        assert getattr(made.report, field) == total
    assert "HARD_SWISH #1" in made.reasons


def test_under_a_name_of_ones_own(model: Path, tmp_path: Path) -> None:
    made = compile_file(model)
    (path,) = made.save(tmp_path / "new" / "tpu.tflite")
    assert path == tmp_path / "new" / "tpu.tflite"
    assert {one.name for one in path.parent.iterdir()} == {"tpu.tflite", "tpu.log"}
    assert read_executable(path).info == made.segments[0].info
    with pytest.raises(ConfigError, match="write over the input"):
        made.save(model)
    cut = compile_file(model, CompileOptions(num_segments=2))
    with pytest.raises(ConfigError, match=r"is one file, but .* compiled into 2 segments"):
        cut.save(tmp_path / "one.tflite")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"path .*file cannot be written"):
        cut.save(tmp_path / "file")
    assert model.read_bytes() == random_graph(1, 12)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_segments": 99}, "num_segments is 99, but "),
        ({"num_segments": 0}, "num_segments is 0, but "),
        ({"num_segments": "3"}, "num_segments is '3', a whole number is needed"),
        ({"num_segments": 2.5}, "num_segments is 2.5, a whole number is needed"),
        ({"timeout_sec": "long"}, "timeout_sec is 'long', a number is needed"),
        ({"cut_at": ("nix",)}, "cut_at names 'nix'"),
        ({"cut_at": "4,8"}, "cut_at is '4,8', a tuple of names is needed"),
        ({"cut_at": (2.5,)}, "cut_at is (2.5,), a tuple of names is needed"),
        ({"cut_at": (4,), "num_segments": 2}, "num_segments cannot be combined with cut_at"),
        ({"cut_at": (4,), "intermediate_tensors": ("x",)}, "cut_at cannot be combined"),
        ({"num_segments": 2, "intermediate_tensors": ("x",)}, "num_segments cannot be combined"),
        ({"intermediate_tensors": ("nix",)}, "intermediate_tensors names 'nix'"),
        ({"order": "any"}, "order is 'any', it must be coral or file"),
    ],
)
def test_options_that_do_not_fit(model: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        compile_file(model, CompileOptions(**options))
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_models_that_cannot_be_compiled(tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("no model at all")
    tiny = Tiny()
    x, y = (tiny.tensor(name, type_=0, scale=None) for name in "xy")
    tiny.relu(x, y)
    (tmp_path / "float.tflite").write_bytes(tiny.ends([x], [y]).build())
    for name, sentence in (
        ("gone.tflite", "does not exist"),
        ("text.tflite", "this is not a .tflite file"),
        ("float.tflite", "Model not quantized"),
    ):
        with pytest.raises(ModelError, match=sentence):
            compile_file(tmp_path / name)


def test_the_time_limit_holds_in_threads(model: Path) -> None:
    outcome: dict[str, CompiledModel | EdgeTpuError] = {}

    def compiling(name: str, timeout_sec: float) -> None:
        try:
            outcome[name] = compile_file(model, CompileOptions(timeout_sec=timeout_sec))
        except EdgeTpuError as error:
            outcome[name] = error

    threads = [
        threading.Thread(target=compiling, args=limit)
        for limit in (("short", 1e-6), ("long", 60.0))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(outcome["short"], ModelError)
    assert "longer than timeout_sec = 1e-06" in str(outcome["short"])
    assert isinstance(outcome["long"], CompiledModel)


def test_cutting_is_refused_where_it_would_be_ignored(model: Path) -> None:
    graph = graph_from_bytes(random_graph(1, 12), "m.tflite")
    for options in (CompileOptions(num_segments=2), CompileOptions(cut_at=(3,))):
        with pytest.raises(ConfigError, match="num_segments and cut_at are for compile_file"):
            compiler.compile_graph(graph, options)


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "compiler.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"## From Python\n.*?```python\n(.*?)```", page, re.DOTALL)
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    (printed,) = re.findall(r"It prints:\n\n```\n(.*?)```", page, re.DOTALL)
    assert run.stdout == printed
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"mobilenet_v2_1.0_224_segment_{i}_of_2_edgetpu.{suffix}"
        for i in range(2)
        for suffix in ("log", "tflite")
    ]
