"""Problems from graphs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import partitioner
from compiler import graph_from_bytes, parameter_count_cuts, read_graph
from devices import ConfigError
from partitioner import problem_of
from zoo.random_graph import random_graph

PACKAGE = Path(partitioner.__file__).parent


def test_starts_from_the_compilers_split() -> None:
    graph = read_graph("zoo:mobilenet_v2_1.0_224")
    problem = problem_of(graph, 4)
    assert problem.start_cuts == parameter_count_cuts(graph, 4)
    assert problem.positions == tuple(range(len(graph) + 1))
    assert problem.cut_bytes is not None
    assert problem.features is not None


def test_steps_lead_away_from_the_starting_cuts() -> None:
    graph = read_graph("zoo:mobilenet_v2_1.0_224")
    problem = problem_of(graph, 3, partition_search_step=7)
    assert problem.cut_choices is not None
    for start, choices in zip(problem.start_cuts, problem.cut_choices, strict=True):
        assert start in choices
        assert all((choice - start) % 7 == 0 for choice in choices)
        assert len(choices) in (9, 10)
    assert problem.features is not None
    assert problem.features.positions == problem.positions


@pytest.mark.parametrize(
    ("segments", "step", "sentence"),
    [(1, 1, "at least 2"), (-3, 1, "at least 2"), (9, 1, "8 operators"), (2, 0, "1 or more")],
)
def test_impossible_wishes(segments: int, step: int, sentence: str) -> None:
    graph = graph_from_bytes(random_graph(0, 8), "tiny")
    with pytest.raises(ConfigError, match=sentence):
        problem_of(graph, segments, partition_search_step=step)


def test_time_is_learned_by_measuring_alone() -> None:
    """No module of the partitioner imports the latency model or the constants of the chip."""
    forbidden = {"devices.chip.latency", "devices.chip.constants", "devices.chip.simulated_chip"}
    for source in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            names: set[str] = set()
            if isinstance(node, ast.ImportFrom):
                names = {node.module or ""} | {f"{node.module}.{a.name}" for a in node.names}
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            assert not names & forbidden, source.name
            assert "devices.LatencyModel" not in names, source.name


def test_public_names() -> None:
    for name in partitioner.__all__:
        assert getattr(partitioner, name) is not None
    assert sorted(partitioner.__all__, key=str) == sorted(set(partitioner.__all__))
