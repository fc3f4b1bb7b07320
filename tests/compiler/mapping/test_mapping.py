"""Which operators of a segment map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from compiler import Graph, Status, compile_graph, graph_from_bytes, read_graph
from compiler.mapping.mapped import SegmentMapping, map_segment
from devices.chip.engine import LiteRtEngine
from devices.executable.file import executable_from_bytes
from tests.compiler.chain import run_segment, shared_model
from tests.recurrent import in_sequence
from tests.tiny import FLOAT32, INT8, Tiny, parse


def mapping_of(graph: Graph, *stops: int) -> SegmentMapping:
    return map_segment(graph, range(len(graph)), 14, frozenset(stops))


def branches() -> tuple[Tiny, list[int]]:
    """x ─ RELU(0) ─┬─ HARD_SWISH(1) ─ RELU(2) ─┬─ ADD(5)
    └─ RELU(3) ─ RELU(4) ───────┘          HARD_SWISH is not supported."""
    tiny = Tiny()
    x, a, b, c, d, e, y = tensors = [tiny.tensor(name) for name in "xabcdey"]
    tiny.relu(x, a)
    tiny.operator("HARD_SWISH", [a], [b])
    tiny.relu(b, c)
    tiny.relu(a, d)
    tiny.relu(d, e)
    tiny.add(c, e, y)
    tiny.ends([x], [y])
    return tiny, tensors


def test_what_depends_on_an_unmapped_operator_follows_on_the_cpu() -> None:
    graph = graph_from_bytes(branches()[0].build(), "m")
    found = mapping_of(graph)
    assert found.mapped == (0, 3, 4)
    assert found.tail == (1, 2, 5)
    assert found.head == ()
    assert [found.verdicts[i].status for i in range(6)] == [
        Status.MAPPED,
        Status.NOT_SUPPORTED,
        Status.SECOND_SUBGRAPH,
        Status.MAPPED,
        Status.MAPPED,
        Status.SECOND_SUBGRAPH,
    ]
    assert found.verdicts[2].reason == "behind HARD_SWISH #1"
    assert (found.verdicts[2].behind, found.verdicts[5].behind) == (1, 1)


def test_only_the_segment_counts() -> None:
    graph = graph_from_bytes(branches()[0].build(), "m")
    found = map_segment(graph, range(2, 6), 14)
    assert (found.mapped, found.tail) == ((2, 3, 4, 5), ())


def test_intermediate_tensors_end_the_mapped_part() -> None:
    tiny, (_, _, _, _, d, *_) = branches()
    found = mapping_of(graph_from_bytes(tiny.build(), "m"), d)
    assert found.mapped == (0, 3)
    assert found.verdicts[4].status is Status.SECOND_SUBGRAPH


def test_detection_tail_as_google_compiled_it() -> None:
    """DEQUANTIZE, DEQUANTIZE, TFLite_Detection_PostProcess follow the custom operator."""
    graph = read_graph("zoo:ssd_mobilenet_v2_300")
    found = mapping_of(graph)
    assert [graph.operators[i].kind for i in found.tail] == [
        "DEQUANTIZE",
        "DEQUANTIZE",
        "TFLite_Detection_PostProcess",
    ]
    assert all(found.verdicts[i].status is Status.DATA_TYPE for i in found.tail)


def test_whole_networks_map() -> None:
    for name in ("mobilenet_v1_0.25_128_quant", "keras_lstm_mnist_ptq", "split_concat"):
        found = mapping_of(read_graph(shared_model(name)))
        assert (found.head, found.tail) == ((), ())


def test_operators_sharing_a_state_map_together() -> None:
    tiny = Tiny()
    x, a, b, y = (tiny.tensor(name) for name in "xaby")
    state = tiny.tensor("state", variable=True)
    tiny.add(x, state, a)
    tiny.relu(x, y)
    tiny.operator("HARD_SWISH", [a], [b])
    tiny.add(a, b, state)
    found = mapping_of(graph_from_bytes(tiny.ends([x], [y, a]).build(), "m"))
    assert found.mapped == (1,)
    assert found.verdicts[0].status is Status.SECOND_SUBGRAPH


def float_input_model() -> bytes:
    """float x ─ QUANTIZE ─ RELU ─ DEQUANTIZE ─ float y, as converters write it by default."""
    tiny = Tiny()
    x = tiny.tensor("x", type_=FLOAT32, scale=None)
    a, b = tiny.tensor("a"), tiny.tensor("b")
    y = tiny.tensor("y", type_=FLOAT32, scale=None)
    tiny.operator("QUANTIZE", [x], [a])
    tiny.relu(a, b)
    tiny.operator("DEQUANTIZE", [b], [y], version=2)
    return tiny.ends([x], [y]).build()


def test_float_converter_in_front_does_not_keep_the_rest_from_mapping() -> None:
    graph = graph_from_bytes(float_input_model(), "m")
    found = mapping_of(graph)
    assert (found.head, found.mapped, found.tail) == ((0,), (1,), (2,))
    assert found.verdicts[0].status is Status.LIMITATION
    assert found.verdicts[2].status is Status.DATA_TYPE


def test_converter_too_new_for_the_runtime_does_not_keep_the_rest_from_mapping() -> None:
    tiny = Tiny()
    x, a, y = (tiny.tensor(name) for name in "xay")
    tiny.operator("QUANTIZE", [x], [a])
    tiny.relu(a, y)
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m")
    for runtime, head, mapped in ((12, (0,), (1,)), (13, (), (0, 1))):
        found = map_segment(graph, range(2), runtime)
        assert (found.head, found.mapped, found.tail) == (head, mapped, ())


def test_float_converter_nobody_on_the_chip_reads_stays_in_the_tail() -> None:
    graph = graph_from_bytes(float_input_model(), "m")
    found = map_segment(graph, range(1), 14)
    assert (found.head, found.mapped, found.tail) == ((), (), (0,))
    (quantised,) = graph.operators[0].outputs
    found = mapping_of(graph, quantised)
    assert (found.head, found.mapped, found.tail) == ((), (), (0, 1, 2))


def network_behind(front: Sequence[tuple[str, int, float | None]]) -> bytes:
    """Operators that make tensors of these types and scales, one after the other, then two RELU."""
    tiny = Tiny()
    (_, type_, scale), *steps = front
    tensor = given = tiny.tensor("x", type_=type_, scale=scale)
    for place, (kind, type_, scale) in enumerate(steps):
        made = tiny.tensor(f"h{place}", type_=type_, scale=scale)
        inputs = [tensor, tensor] if kind == "MUL" else [tensor]
        options = {"MUL": schema.MulOptionsT, "CAST": schema.CastOptionsT}.get(kind)
        tiny.operator(kind, inputs, [made], options() if options else None)
        tensor = made
    a, y = tiny.tensor("a"), tiny.tensor("y")
    tiny.relu(tensor, a)
    tiny.relu(a, y)
    return tiny.ends([given], [y]).build()


UINT8 = schema.TensorType.UINT8
FLOAT = ("", FLOAT32, None)
HEADS = {
    "float input": [FLOAT, ("QUANTIZE", INT8, 0.5)],
    "cast and quantise": [("", UINT8, None), ("CAST", FLOAT32, None), ("QUANTIZE", INT8, 0.5)],
    "dequantise, quantise": [
        ("", UINT8, 0.5),
        ("DEQUANTIZE", FLOAT32, None),
        ("QUANTIZE", INT8, 0.5),
    ],
    "float arithmetic": [
        FLOAT,
        ("MUL", FLOAT32, None),
        ("MUL", FLOAT32, None),
        ("QUANTIZE", INT8, 0.5),
    ],
}


@pytest.mark.parametrize("kind", HEADS)
def test_the_custom_operator_begins_where_8_bit_data_begin(kind: str) -> None:
    data = network_behind(HEADS[kind])
    graph = graph_from_bytes(data, "m")
    count = len(graph)
    found = mapping_of(graph)
    assert found.head == tuple(range(count - 2))
    assert found.mapped == (count - 2, count - 1)
    assert found.tail == ()
    assert all("in front of the Edge TPU's part" in found.verdicts[i].reason for i in found.head)
    assert all("8-bit inputs" in found.verdicts[i].hint for i in found.head)


def test_an_unsupported_operator_on_8_bits_in_front_ends_it() -> None:
    found = mapping_of(
        graph_from_bytes(network_behind([("", INT8, 0.5), ("HARD_SWISH", INT8, 0.5)]), "m")
    )
    assert (found.head, found.mapped, found.tail) == ((), (), (0, 1, 2))


@pytest.mark.parametrize("handed_in", [True, False])
def test_a_transpose_is_mapped_but_as_the_very_first_operator(handed_in: bool) -> None:
    """NCHW models: where Google's compiler was seen to stop, the CPU turns the input round."""
    tiny = Tiny()
    order = tiny.tensor(
        "order",
        (4,),
        data=np.array([0, 2, 3, 1], np.int32),
        type_=schema.TensorType.INT32,
        scale=None,
    )
    x = tiny.tensor("x", (1, 3, 8, 8))
    y, z = (tiny.tensor(name, (1, 8, 8, 3)) for name in "yz")
    f = tiny.tensor("f", (1, 3, 8, 8), type_=FLOAT32, scale=None)
    if not handed_in:
        tiny.operator("QUANTIZE", [f], [x])
    tiny.operator("TRANSPOSE", [x, order], [y], schema.TransposeOptionsT())
    tiny.relu(y, z)
    graph = graph_from_bytes(tiny.ends([x if handed_in else f], [z]).build(), "m")
    found = mapping_of(graph)
    if not handed_in:
        assert (found.head, found.mapped, found.tail) == ((0,), (1, 2), ())
        return
    assert (found.head, found.mapped, found.tail) == ((0,), (1,), ())
    assert found.verdicts[0].reason.endswith("seen to stop; not as the very first operator")
    several = map_segment(graph, range(len(graph)), 14, several=True)
    assert several.mapped == (1,)


def test_float_behind_the_mapped_part_begins_no_second_one() -> None:
    tiny = Tiny()
    x, a, b, y = (tiny.tensor(name) for name in "xaby")
    f = tiny.tensor("f", type_=FLOAT32, scale=None)
    tiny.relu(x, a)
    tiny.operator("DEQUANTIZE", [a], [f], version=2)
    tiny.operator("QUANTIZE", [f], [b])
    tiny.relu(b, y)
    found = mapping_of(graph_from_bytes(tiny.ends([x], [y]).build(), "m"))
    assert (found.head, found.mapped, found.tail) == ((), (0,), (1, 2, 3))
    assert found.verdicts[3].reason == "behind DEQUANTIZE #1"


def test_a_branch_that_stays_float_does_not_stop_the_network_beside_it() -> None:
    tiny = Tiny()
    x, a, y = (tiny.tensor(name) for name in "xay")
    length, g = (tiny.tensor(name, type_=FLOAT32, scale=None) for name in ("length", "g"))
    tiny.relu(x, a)
    tiny.operator("MUL", [length, length], [g], schema.MulOptionsT())
    tiny.relu(a, y)
    found = mapping_of(graph_from_bytes(tiny.ends([x, length], [y, g]).build(), "m"))
    assert (found.head, found.mapped, found.tail) == ((), (0, 2), (1,))


@pytest.mark.parametrize("kind", HEADS)
def test_an_executable_with_a_head_computes_as_the_uncut_model(kind: str) -> None:
    data = network_behind(HEADS[kind])
    graph = graph_from_bytes(data, "m")
    compiled = compile_graph(graph)
    executable = executable_from_bytes(compiled.data, Path("m_edgetpu.tflite"))
    assert executable.models[1:] == (executable.parts[0].model,)
    assert executable.parts[0].inputs[0].dtype == "int8"
    file = parse(compiled.data).subgraphs[0].operators
    assert len(file) == len(graph) - 1  # the custom operator for two
    spec = graph.tensors[graph.inputs[0]]
    values = np.arange(4).reshape(spec.shape).astype(spec.dtype)
    engine = LiteRtEngine(executable)
    engine.compute({"x": values})
    out = np.empty((1, 4), np.int8)
    engine.copy_output("y", out)
    expected = {"x": values}
    run_segment(data, expected)
    np.testing.assert_array_equal(out, expected["y"])


def test_a_state_is_not_torn_between_head_and_tail() -> None:
    """They are two interpreters: what the one behind writes, the one in front would never see."""
    tiny = Tiny()
    x, a, y = (tiny.tensor(name, type_=FLOAT32, scale=None) for name in ("noisy", "a", "clean"))
    q, r = tiny.tensor("q"), tiny.tensor("r")
    state = tiny.tensor("state", type_=FLOAT32, scale=None, variable=True)
    tiny.add(x, state, a)
    tiny.operator("QUANTIZE", [a], [q])
    tiny.relu(q, r)
    tiny.operator("DEQUANTIZE", [r], [y], version=2)
    tiny.add(y, y, state)
    model = tiny.ends([x], [y]).build()
    graph = graph_from_bytes(model, "m")
    found = mapping_of(graph)
    assert (found.head, found.mapped, found.tail) == ((), (), (0, 1, 2, 3, 4))
    engine = LiteRtEngine(
        executable_from_bytes(compile_graph(graph).data, Path("x_edgetpu.tflite"))
    )
    items = [np.full((1, 4), value, np.float32) for value in (1, 2, -3, 0.5)]
    for item, expected in zip(items, in_sequence(model, items), strict=True):
        output = np.empty_like(expected)
        engine.compute({"noisy": item})
        engine.copy_output("clean", output)
        np.testing.assert_array_equal(output, expected)
    assert (output == 10.5).all()  # ((1 * 2 + 2) * 2 - 3) * 2 + 0.5
