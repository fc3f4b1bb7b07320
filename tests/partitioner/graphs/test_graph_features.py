"""Features known beforehand, against what compiling a segment really gives."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from compiler import Graph, compile_segment, crossing, graph_from_bytes, read_graph
from devices.executable.file import executable_from_bytes
from partitioner import Features, Line, cut_bytes, graph_features
from zoo.random_graph import random_graph


def line(graph: Graph) -> Line:
    return Line(tuple(range(len(graph) + 1)))


def check_segment(graph: Graph, features: Features, first: int, end: int) -> None:
    compiled = compile_segment(graph, first, end)
    executable = executable_from_bytes(compiled.data, Path("segment"))
    mapped = [work for work in compiled.info.operators if work.target == "tpu"]
    on_cpu = [work for work in compiled.info.operators if work.target == "cpu"]
    row = features.design(np.array([first]), np.array([end]))[0]
    known = dict(zip(features.names, row, strict=True))
    assert known["request"] == (1.0 if mapped else 0.0)
    assert known["bytes in"] == sum(t.size_bytes for t in executable.parts[0].inputs)
    assert known["bytes out"] == sum(t.size_bytes for t in executable.parts[0].outputs)
    assert known["off-chip bytes"] == compiled.info.off_chip_bytes
    assert known["operators"] == len(mapped)
    assert known["cpu operators"] == len(on_cpu)
    assert known["cpu macs"] == sum(work.macs for work in on_cpu)
    macs = sum(value for name, value in known.items() if name.startswith("macs of"))
    assert macs == pytest.approx(sum(work.macs for work in mapped), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_every_segment_of_random_graphs(seed: int) -> None:
    graph = graph_from_bytes(random_graph(seed, 10), f"random {seed}")
    features = graph_features(graph, line(graph))
    for first, end in itertools.combinations(range(len(graph) + 1), 2):
        if all(position == len(graph) or graph.cuttable(position) for position in (first, end)):
            check_segment(graph, features, first, end)


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2_1.0_224",
        "resnet50_224",
        "inception_v3_299",
        "ssd_mobilenet_v2_300",
        "deeplabv3_mnv2_dm05_513",
        "efficientdet_lite0_320",
    ],
)
def test_some_segments_of_real_networks(name: str) -> None:
    """With streaming, with branches, with operators that stay on the CPU."""
    graph = read_graph(f"zoo:{name}")
    n = len(graph)
    features = graph_features(graph, line(graph))
    for first, end in [(0, n), (0, n // 2), (n // 2, n), (n // 3, n - 1), (n - 2, n)]:
        check_segment(graph, features, first, end)


def test_only_the_positions_asked_for() -> None:
    graph = read_graph("zoo:mobilenet_v2_1.0_224")
    some = (0, 7, 30, len(graph))
    every = graph_features(graph, line(graph))
    features = graph_features(graph, Line(some))
    first, end = np.triu_indices(len(some), 1)
    at = np.array(some)
    assert np.array_equal(features.design(first, end), every.design(at[first], at[end]))


def test_sums_over_operators_agree_with_the_tables() -> None:
    graph = read_graph("zoo:inception_v3_299")
    n = len(graph)
    features = graph_features(graph, line(graph))
    (row,) = features.design(np.array([0]), np.array([n]))
    for name, column in features.per_operator.items():
        assert row[features.names.index(name)] == pytest.approx(column.sum(), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_bytes_across_cuts(seed: int) -> None:
    """What crosses, as the compiler says, less the model inputs, which come from the host."""
    graph = graph_from_bytes(random_graph(seed, 14), f"random {seed}")
    bytes_at = cut_bytes(graph, line(graph))
    for position in range(1, len(graph)):
        crossing_tensors = crossing(graph, position).tensors
        expected = sum(
            graph.tensors[t].size_bytes for t in crossing_tensors if t not in graph.inputs
        )
        assert bytes_at[position] == expected
    assert bytes_at[0] == bytes_at[len(graph)] == 0
