"""Problems from graphs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import partitioner
from compiler import (
    Graph,
    graph_from_bytes,
    parameter_count_cuts,
    parameter_count_parts,
    read_graph,
)
from devices import ConfigError
from partitioner import problem_of
from partitioner.graphs import OrderChoice
from partitioner.problem import Line, operators_of
from zoo.builder import GraphBuilder
from zoo.random_graph import random_graph

PACKAGE = Path(partitioner.__file__).parent


def test_starts_from_the_compilers_split() -> None:
    graph = read_graph("zoo:mobilenet_v2_1.0_224")
    problem = problem_of(graph, 4)
    assert problem.start_cuts == parameter_count_cuts(graph, 4)
    assert problem.positions == tuple(range(len(graph) + 1))
    assert problem.cut_bytes is not None
    assert problem.features is not None


def branched() -> Graph:
    """A head that lies before the trunk's end in the file and comes last in Coral's order."""
    graph = GraphBuilder("branched")
    trunk = graph.conv(graph.input("x", (1, 8, 8, 8)), 16, 1, name="first")
    head = graph.conv(trunk, 32, 1, name="head")
    for number in range(4):
        trunk = graph.conv(trunk, 16, 1, name=f"trunk{number}")
    graph.output(head, trunk)
    return graph_from_bytes(graph.build(), "branched")


@pytest.mark.parametrize("order", ["any", "coral", "file"])
@pytest.mark.parametrize("segments", [2, 3, 4])
def test_starts_from_the_compilers_split_in_graphs_with_branches(
    order: OrderChoice, segments: int
) -> None:
    """As the compiler counts: like Coral's tools, unless the order of the file is asked for."""
    graph = branched()
    expected = parameter_count_parts(graph, segments, "file" if order == "file" else "coral")
    problem = problem_of(graph, segments, order=order)
    assert tuple(map(operators_of, problem.start)) == expected
    assert problem.bytes_across(problem.start) > 0
    in_file = parameter_count_parts(graph, segments, "file")
    assert in_file != parameter_count_parts(graph, segments, "coral")


def test_the_start_is_among_the_places_where_there_are_too_many_of_them() -> None:
    graph = graph_from_bytes(random_graph(3, 30), "random")
    for segments in (2, 5):
        problem = problem_of(graph, segments, order="any", most_ideals=80)
        assert problem.ideals is not None
        assert not problem.ideals.complete
        starts = tuple(map(operators_of, problem.start))
        assert starts == parameter_count_parts(graph, segments)
        assert all(problem.places.find(segment) is not None for segment in problem.start)


def test_steps_lead_away_from_the_starting_cuts() -> None:
    graph = read_graph("zoo:mobilenet_v2_1.0_224")
    problem = problem_of(graph, 3, partition_search_step=7)
    assert problem.cut_choices is not None
    for start, choices in zip(problem.start_cuts, problem.cut_choices, strict=True):
        assert start in choices
        assert all((choice - start) % 7 == 0 for choice in choices)
        assert len(choices) in (9, 10)
    assert problem.features is not None
    assert problem.features.places == Line(problem.positions)


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
