"""What is known of segments between ideals before any is compiled."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import compile_operators, graph_from_bytes
from partitioner.graphs import cut_bytes, graph_features, problem_of
from partitioner.problem import Line
from partitioner.problem.ranges import operators_of
from zoo.random_graph import random_graph


@pytest.mark.parametrize("seed", range(10))
def test_agree_with_those_in_the_order_of_the_file(seed: int) -> None:
    graph = graph_from_bytes(random_graph(seed, 11), "net")
    ideals = problem_of(graph, 2, order="any").ideals
    assert ideals is not None
    ours = graph_features(graph, ideals)
    positions = Line(tuple(range(len(graph) + 1)))
    line = graph_features(graph, positions)
    assert ours.names == line.names
    prefixes = np.array([ideals.sets.index((1 << p) - 1) for p in range(len(graph) + 1)])
    first, end = np.triu_indices(len(graph) + 1, 1)
    assert np.array_equal(ours.design(prefixes[first], prefixes[end]), line.design(first, end))
    crossing = cut_bytes(graph, ideals)
    assert tuple(crossing[p] for p in prefixes) == cut_bytes(graph, positions)


@pytest.mark.parametrize("seed", [1, 4, 11])
def test_tell_what_the_compiler_does(seed: int) -> None:
    """Operators, work and streamed bytes of segments that are not one run in the file."""
    graph = graph_from_bytes(random_graph(seed, 12), "net")
    problem = problem_of(graph, 2, order="any")
    assert problem.ideals is not None
    features = graph_features(graph, problem.ideals)
    segments = problem.ideals.segments()
    apart = 0
    for first, end in zip(segments.first[::7], segments.end[::7], strict=True):
        operators = operators_of(problem.ideals.operators(int(first), int(end)))
        apart += operators[-1] - operators[0] >= len(operators)
        info = compile_operators(graph, operators).info
        row = features.design(np.array([first]), np.array([end]))[0]
        known = dict(zip(features.names, row, strict=True))
        mapped = [work for work in info.operators if work.target == "tpu"]
        assert known["operators"] == len(mapped)
        assert known["cpu operators"] == len(info.operators) - len(mapped)
        assert known["off-chip bytes"] == info.off_chip_bytes
        macs = sum(value for name, value in known.items() if name.startswith("macs of"))
        assert macs == pytest.approx(sum(work.macs for work in mapped), rel=1e-6)
    assert apart > 10
