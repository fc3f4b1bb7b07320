"""``--cut_at``: cuts where a user says, by number and by name, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import Graph, Mark, cut_operators, graph_from_bytes, parts_at, read_graph
from compiler.cutting import CutOrder
from devices.errors import ConfigError, ModelError
from tests.compiler.chain import (
    Array,
    assert_same,
    inputs_of,
    run_segment,
    run_uncut,
    shared_model,
)
from tests.compiler.cutting.test_cut import recurrent_model
from tests.tiny import Tiny, tiny_chain
from zoo.random_graph import random_graph


def chain(length: int = 5) -> Graph:
    return graph_from_bytes(tiny_chain(length), "m.tflite")


def run_parts(graph: Graph, parts: Sequence[Sequence[int]], inputs: Sequence[Array]) -> list[Array]:
    """Outputs of the segments, run one after another."""
    names = [graph.tensors[t].name for t in graph.inputs]
    values = dict(zip(names, inputs, strict=True))
    for part in parts:
        run_segment(cut_operators(graph, part), values)
    return [values[graph.tensors[t].name] for t in graph.outputs]


@pytest.mark.parametrize(
    ("marks", "parts"),
    [
        (["2"], [(0, 1), (2, 3, 4)]),
        ([2], [(0, 1), (2, 3, 4)]),
        (["#2"], [(0, 1), (2, 3, 4)]),
        (["t2"], [(0, 1), (2, 3, 4)]),  # t2 is made by operator 1
        (["tensor:t2"], [(0, 1), (2, 3, 4)]),
        (["t3", "1"], [(0,), (1, 2), (3, 4)]),
        (["1", "2", "3", "4"], [(0,), (1,), (2,), (3,), (4,)]),
        ([], [(0, 1, 2, 3, 4)]),
    ],
)
def test_a_number_begins_a_segment_and_a_tensor_ends_one(
    marks: list[Mark], parts: list[tuple[int, ...]]
) -> None:
    assert list(parts_at(chain(), marks)) == parts


def test_numbers_are_those_of_the_file_where_it_is_not_in_execution_order() -> None:
    tiny = Tiny()
    x, a, b, y = (tiny.tensor(name) for name in "xaby")
    tiny.relu(b, y)  # operator 0 runs last
    tiny.relu(x, a)
    tiny.relu(a, b)
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m.tflite")
    for mark, files in (("0", [(1, 2), (0,)]), ("2", [(1,), (2, 0)]), ("a", [(1,), (2, 0)])):
        found = parts_at(graph, [mark])
        assert [tuple(graph.operators[i].file_index for i in part) for part in found] == files


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_the_chain_equals_the_uncut_model(seed: int, data: st.DataObject) -> None:
    """On graphs with branches, for numbers and names, along both orders."""
    model = random_graph(seed, 12)
    graph = graph_from_bytes(model, "m.tflite")
    order: CutOrder = data.draw(st.sampled_from(["file", "coral"]))
    marks: list[Mark] = list(range(len(graph)))
    marks += [t.name for t in graph.tensors if graph.makers[t.index] is not None]
    chosen = data.draw(st.lists(st.sampled_from(marks), max_size=4, unique=True))
    try:
        parts = parts_at(graph, chosen, order)
    except ConfigError:
        return  # a mark at an end, or two that mean the same place
    assert len(parts) == len(chosen) + 1
    assert sorted(i for part in parts for i in part) == list(range(len(graph)))
    done: set[int] = set()
    for part in parts:
        done.update(part)
        makers = {graph.makers[t] for i in part for t in graph.read_by(i)}
        assert makers <= done | {None}
    inputs = inputs_of(model, seed)
    assert_same(run_parts(graph, parts, inputs), run_uncut(model, inputs))


def test_a_tensor_ends_a_segment_in_either_order() -> None:
    """Two branches from x, the second one's head lying between: orders differ, marks hold."""
    tiny = Tiny()
    x, a, head, b, y = (tiny.tensor(name) for name in ("x", "a", "head", "b", "y"))
    tiny.relu(x, a)
    tiny.relu(a, head)  # an output nobody reads: last in Coral's order
    tiny.relu(a, b)
    tiny.relu(b, y)
    graph = graph_from_bytes(tiny.ends([x], [head, y]).build(), "m.tflite")
    assert parts_at(graph, ["b"], "file") == ((0, 1, 2), (3,))
    assert parts_at(graph, ["b"], "coral") == ((0, 2), (1, 3))


@pytest.mark.parametrize(
    ("marks", "sentence"),
    [
        (["0"], "cut_at names operation '0', but m.tflite begins with that one in this order"),
        (["5"], "cut_at names operation '5', but m.tflite has operations #0 to #4"),
        ([-1], "cut_at names operation -1, but m.tflite has operations #0 to #4"),
        (["t"], "'t', but no operation of m.tflite makes a tensor of this name"),
        (["tt3"], "did you mean 't3'"),
        (["conv_of_another_model"], "give the number of an operation instead"),
        (["t0"], "'t0', which is an input of m.tflite"),
        (["t5"], "no operation of m.tflite is left behind the one that makes it"),
        (["2", "t2"], "'2' and 't2', which are the same place"),
    ],
)
def test_marks_that_cannot_be(marks: list[Mark], sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parts_at(chain(), marks)
    assert sentence in str(refusal.value)


def test_a_name_that_looks_like_a_number() -> None:
    tiny = Tiny()
    names = ("x", "1", "300", "y")
    x, one, other, y = (tiny.tensor(name) for name in names)
    for before, after in ((x, one), (one, other), (other, y)):
        tiny.relu(before, after)
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m.tflite")
    with pytest.raises(ConfigError, match=r"both an operation and a tensor .*'#1'.*'tensor:1'"):
        parts_at(graph, ["1"])
    with pytest.raises(ConfigError, match="the tensor of this name is 'tensor:300'"):
        parts_at(graph, ["300"])
    assert parts_at(graph, ["#2"]) == parts_at(graph, ["tensor:300"]) == ((0, 1), (2,))


def test_shared_states_are_not_torn() -> None:
    """Operators 0 and 2 do share one; a is made by operator 0, b by 1."""
    graph = graph_from_bytes(recurrent_model(), "m.tflite")
    for mark in ("1", "2", "a", "b"):
        with pytest.raises(ModelError) as refusal:
            parts_at(graph, [mark])
        assert f"cannot be cut at {mark!r}: operators #0 and #2 share the state" in str(
            refusal.value
        )
    assert parts_at(graph, ["3"]) == ((0, 1, 2), (3,))


def test_a_model_of_uint8() -> None:
    path = shared_model("mobilenet_v1_0.25_128_quant")
    graph = read_graph(path)
    name = graph.tensors[graph.operators[19].outputs[0]].name
    parts = parts_at(graph, [name, 7])
    assert [len(part) for part in parts] == [7, 13, len(graph) - 20]
    model = path.read_bytes()
    inputs = inputs_of(model)
    assert inputs[0].dtype == "uint8"
    assert_same(run_parts(graph, parts, inputs), run_uncut(model, inputs))
