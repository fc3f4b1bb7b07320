"""What goes in and out of a segment, and what crosses a cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import Graph, boundary, crossing, cut, graph_from_bytes
from devices.errors import ConfigError
from tests.compiler.chain import assert_same, inputs_of, run_chain
from tests.tiny import Tiny, parse, tiny_chain
from zoo.random_graph import random_graph


def skipping_model() -> bytes:
    """The graph drawn in ``compiler.cutting.cut``: two inputs, skips, an output read again."""
    tiny = Tiny()
    x, late = tiny.tensor("x"), tiny.tensor("late")
    a, b, y, d, e, f = (tiny.tensor(name) for name in "abydef")
    tiny.relu(x, a)  # 0
    tiny.add(a, x, b)  # 1
    tiny.add(a, a, y)  # 2: early output, read by 4
    tiny.relu(b, d)  # 3: b skips operator 2
    tiny.add(d, y, e)  # 4
    tiny.add(e, late, f)  # 5
    return tiny.ends([x, late], [y, f]).build()


def names(graph: Graph, tensors: tuple[int, ...]) -> list[str]:
    return [graph.tensors[t].name for t in tensors]


@pytest.mark.parametrize(
    ("first", "end", "inputs", "outputs"),
    [
        (0, 1, ["x"], ["a"]),
        (0, 2, ["x"], ["a", "b"]),
        (1, 2, ["x", "a"], ["b"]),
        (2, 3, ["a"], ["y"]),
        (2, 4, ["a", "b"], ["y", "d"]),
        (3, 5, ["b", "y"], ["e"]),
        (4, 6, ["late", "y", "d"], ["f"]),
        (5, 6, ["late", "e"], ["f"]),
        (0, 6, ["x", "late"], ["y", "f"]),
    ],
)
def test_boundary_by_hand(first: int, end: int, inputs: list[str], outputs: list[str]) -> None:
    graph = graph_from_bytes(skipping_model(), "m")
    edge = boundary(graph, first, end)
    assert names(graph, edge.inputs) == inputs
    assert names(graph, edge.outputs) == outputs
    segment = parse(cut(graph, first, end)).subgraphs[0]
    assert [segment.tensors[i].name.decode() for i in segment.inputs] == inputs
    assert [segment.tensors[i].name.decode() for i in segment.outputs] == outputs


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (0, {"x", "late"}),
        (1, {"a", "x", "late"}),
        (2, {"a", "b", "late"}),
        (3, {"b", "y", "late"}),
        (5, {"e", "late"}),
        (6, set()),
    ],
)
def test_crossing_by_hand(position: int, expected: set[str]) -> None:
    graph = graph_from_bytes(skipping_model(), "m")
    found = crossing(graph, position)
    assert set(names(graph, found.tensors)) == expected
    assert found.size_bytes == 4 * len(expected)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 10_000))
def test_boundary_against_its_definition(data: st.DataObject, seed: int) -> None:
    count = 14
    graph = graph_from_bytes(random_graph(seed, count), "random")
    first = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(first + 1, count))
    source = parse(random_graph(seed, count))
    raw = source.subgraphs[0]

    def reads(i: int) -> set[int]:
        return {
            int(t)
            for t in raw.operators[i].inputs
            if t >= 0 and source.buffers[raw.tensors[t].buffer].data is None
        }

    def makes(i: int) -> set[int]:
        return {int(t) for t in raw.operators[i].outputs}

    made = set().union(*(makes(i) for i in range(first, end)))
    read = set().union(*(reads(i) for i in range(first, end)))
    later = set().union(*(reads(i) for i in range(end, count))) | {int(t) for t in raw.outputs}
    edge = boundary(graph, first, end)
    assert set(edge.inputs) == read - made
    assert set(edge.outputs) == made & later
    assert len(set(edge.inputs)) == len(edge.inputs)
    assert len(set(edge.outputs)) == len(edge.outputs)


def test_last_segment_keeps_the_order_of_the_models_outputs() -> None:
    tiny = Tiny()
    x, a, b, c = (tiny.tensor(name) for name in "xabc")
    tiny.relu(x, a)
    tiny.relu(a, b)
    tiny.add(a, b, c)
    graph = graph_from_bytes(tiny.ends([x], [c, b]).build(), "m")
    assert names(graph, boundary(graph, 1, 3).outputs) == ["c", "b"]


def test_unread_input_and_output_handed_through_are_not_lost() -> None:
    tiny = Tiny()
    x, unread, a, b = (tiny.tensor(name) for name in ("x", "unread", "a", "b"))
    fixed = tiny.tensor("fixed", (1, 2), data=np.array([3, 4], np.int8))
    tiny.relu(x, a)
    tiny.relu(a, b)
    model = tiny.ends([x, unread], [b, x, fixed]).build()
    graph = graph_from_bytes(model, "m")
    assert names(graph, boundary(graph, 0, 1).inputs) == ["x", "unread"]
    assert names(graph, boundary(graph, 1, 2).outputs) == ["b", "x", "fixed"]
    inputs = inputs_of(model)
    result = run_chain(graph, [1], inputs)
    assert_same(result[1:], [inputs[0], np.array([[3, 4]], np.int8)])


@pytest.mark.parametrize("position", [-1, 4])
def test_impossible_position(position: int) -> None:
    with pytest.raises(ConfigError, match=r"outside 0..3"):
        crossing(graph_from_bytes(tiny_chain(3), "m"), position)
