"""Which operators of a segment map."""

from __future__ import annotations

from compiler import Graph, Status, graph_from_bytes, read_graph
from compiler.mapping.mapped import SegmentMapping, map_segment
from tests.compiler.chain import shared_model
from tests.tiny import FLOAT32, Tiny


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
    assert [found.statuses[i] for i in range(6)] == [
        Status.MAPPED,
        Status.NOT_SUPPORTED,
        Status.SECOND_SUBGRAPH,
        Status.MAPPED,
        Status.MAPPED,
        Status.SECOND_SUBGRAPH,
    ]


def test_only_the_segment_counts() -> None:
    graph = graph_from_bytes(branches()[0].build(), "m")
    found = map_segment(graph, range(2, 6), 14)
    assert (found.mapped, found.tail) == ((2, 3, 4, 5), ())


def test_intermediate_tensors_end_the_mapped_part() -> None:
    tiny, (_, _, _, _, d, *_) = branches()
    found = mapping_of(graph_from_bytes(tiny.build(), "m"), d)
    assert found.mapped == (0, 3)
    assert found.statuses[4] is Status.SECOND_SUBGRAPH


def test_detection_tail_as_google_compiled_it() -> None:
    """DEQUANTIZE, DEQUANTIZE, TFLite_Detection_PostProcess follow the custom operator."""
    graph = read_graph("zoo:ssd_mobilenet_v2_300")
    found = mapping_of(graph)
    assert [graph.operators[i].kind for i in found.tail] == [
        "DEQUANTIZE",
        "DEQUANTIZE",
        "TFLite_Detection_PostProcess",
    ]
    assert all(found.statuses[i] is Status.DATA_TYPE for i in found.tail)


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
    assert found.statuses[0] is Status.SECOND_SUBGRAPH


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
    assert found.front == (0, 1)
    assert found.statuses[0] is Status.LIMITATION
    assert found.statuses[2] is Status.DATA_TYPE


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
