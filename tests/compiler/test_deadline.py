"""A time limit ends reading and compiling between any two steps, in any thread, whole."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import compiler.deadline
import zoo
from compiler import (
    CompileOptions,
    Deadline,
    cli,
    command,
    compile_graph,
    compile_operators,
    compile_parts,
    compile_segment,
    compile_segments,
    compile_together,
    graph_from_bytes,
    read_graph,
)
from devices.errors import ModelError
from tests.compiler.mapping.test_mapping import branches
from tests.tiny import parse, tiny_chain
from zoo.random_graph import random_graph


class AtCheck(Deadline):
    """A deadline that passes at its ``last``-th check."""

    def __init__(self, last: float = math.inf) -> None:
        super().__init__(7)
        self.left = last
        self.asked = 0

    def check(self) -> None:
        self.asked += 1
        if self.asked >= self.left:
            self._end_sec = -math.inf
        super().check()


def test_it_passes_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(compiler.deadline.time, "monotonic", lambda: now[0])
    deadline, never = Deadline(2.5), Deadline()
    for now[0] in (100.0, 102.499):
        deadline.check()
    for now[0] in (102.5, 1e9):
        with pytest.raises(ModelError) as raised:
            deadline.check()
        assert str(raised.value) == (
            "Compilation failed: it took longer than timeout_sec = 2.5; allow more time."
        )
    never.check()


def test_reading_asks_for_every_table_of_the_file() -> None:
    data = tiny_chain(40)
    tree = parse(data)
    tables = len(tree.subgraphs[0].tensors) + len(tree.subgraphs[0].operators) + len(tree.buffers)
    deadline = AtCheck()
    graph_from_bytes(data, "m", deadline=deadline)
    assert deadline.asked > 2 * tables  # when its structure is walked, and when it is unpacked


def test_compiling_asks_for_every_segment() -> None:
    graph = graph_from_bytes(random_graph(1, 12), "m")
    counts = []
    for segments in (1, 2, 6, 12):
        deadline = AtCheck()
        compile_parts(
            graph,
            [range(i, i + 12 // segments) for i in range(0, 12, 12 // segments)],
            deadline=deadline,
        )
        counts.append(deadline.asked)
    assert all(asked >= 4 * n for asked, n in zip(counts, (1, 2, 6, 12), strict=True))


def test_building_a_zoo_model_can_be_given_up() -> None:
    name = "mobilenet_v2_1.0_224"
    called = 0

    def count() -> None:
        nonlocal called
        called += 1

    assert zoo.build(name, between=count) == zoo.build(name)
    assert called > zoo.describe(name).operators
    with pytest.raises(ModelError, match="longer than timeout_sec"):
        read_graph(f"zoo:{name}", deadline=AtCheck(10))


@pytest.mark.parametrize("extra", [(), ("-n", "3"), ("other.tflite",)])
def test_whenever_it_passes_the_command_says_so_and_writes_nothing(
    extra: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    models = {Path("m.tflite"), Path("other.tflite")}
    for model in models:
        model.write_bytes(branches()[0].build())
    last = 1
    while True:
        deadline = AtCheck(last)
        monkeypatch.setattr(command, "Deadline", lambda _, deadline=deadline: deadline)
        code = cli.main(["m.tflite", *extra])
        told = capsys.readouterr()
        if code == 0:
            break
        assert code == 2
        assert told.err == (
            "Compilation failed: it took longer than timeout_sec = 7; allow more time.\n"
        )
        assert "succeeded" not in told.out
        assert set(Path().iterdir()) == models
        last += 1
    assert deadline.asked == last - 1 > 50


def test_it_ends_a_command_in_another_thread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(tiny_chain())
    codes: list[int] = []
    arguments = ["-t", "1e-9", "-o", str(tmp_path), str(model)]
    thread = threading.Thread(target=lambda: codes.append(cli.main(arguments)))
    thread.start()
    thread.join()
    assert codes == [2]
    assert "longer than timeout_sec = 1e-09" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [model]


CALLS: dict[str, Callable[..., object]] = {
    "graph": compile_graph,
    "segment": lambda graph, options, **more: compile_segment(graph, 1, 3, options, **more),
    "operators": lambda graph, options, **more: compile_operators(graph, [1, 2], options, **more),
    "segments": lambda graph, options, **more: compile_segments(graph, [2], options, **more),
    "parts": lambda graph, options, **more: compile_parts(graph, [[0], [1, 2]], options, **more),
    "together": lambda graph, options, **more: compile_together(
        [(graph, replace(options, timeout_sec=1000)), (graph, options)], **more
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_bounds_every_function(name: str) -> None:
    graph = graph_from_bytes(tiny_chain(), "m")
    short = CompileOptions(timeout_sec=1e-12)
    with pytest.raises(ModelError, match="longer than timeout_sec = 1e-12"):
        CALLS[name](graph, short)
    with pytest.raises(ModelError, match="longer than timeout_sec = 7"):
        CALLS[name](graph, CompileOptions(), deadline=AtCheck(1))
    assert CALLS[name](graph, short, deadline=Deadline())
