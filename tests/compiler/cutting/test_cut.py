"""The law of cutting, and what a segment must keep."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import boundary, cut, graph_from_bytes, read_graph
from devices.errors import ConfigError, ModelError
from tests.compiler.chain import (
    RESOLVERS,
    XNNPACK,
    assert_same,
    chain_sequence,
    inputs_of,
    run_chain,
    run_uncut,
    shared_model,
    uncut_sequence,
)
from tests.compiler.cutting.test_boundary import names, skipping_model
from tests.recurrent import frames, lstm_denoiser, svdf_denoiser
from tests.tiny import Tiny, parse, tiny_chain
from zoo.builder import GraphBuilder
from zoo.random_graph import random_graph

REAL_MODELS = (
    "keras_lstm_mnist_ptq",
    "split_concat",
    "mobilenet_v1_0.25_128_quant",
)


# ------------------------------------------------------------------------------------- the law


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 10_000), operators=st.integers(2, 24))
def test_any_chain_equals_the_uncut_model(data: st.DataObject, seed: int, operators: int) -> None:
    model = random_graph(seed, operators)
    graph = graph_from_bytes(model, "random")
    cuts = data.draw(st.sets(st.integers(1, operators - 1), min_size=1))
    resolver = data.draw(st.sampled_from(RESOLVERS))
    inputs = inputs_of(model, seed)
    assert_same(
        run_chain(graph, sorted(cuts), inputs, resolver), run_uncut(model, inputs, resolver)
    )


@pytest.mark.parametrize("seed", range(6))
def test_every_two_way_cut_and_single_operators(seed: int) -> None:
    model = random_graph(1000 + seed, 20)
    graph = graph_from_bytes(model, "random")
    inputs = inputs_of(model)
    expected = run_uncut(model, inputs)
    for cuts in [*([position] for position in range(1, 20)), list(range(1, 20))]:
        assert_same(run_chain(graph, cuts, inputs), expected)


@pytest.mark.parametrize("name", REAL_MODELS)
@pytest.mark.parametrize("resolver", [XNNPACK, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES])
def test_real_models(name: str, resolver: OpResolverType) -> None:
    path = shared_model(name)
    model = path.read_bytes()
    graph = read_graph(path)
    inputs = inputs_of(model)
    expected = run_uncut(model, inputs, resolver)
    everywhere = list(range(1, len(graph)))
    for cuts in [*([position] for position in everywhere), everywhere]:
        assert_same(run_chain(graph, cuts, inputs, resolver), expected)


def test_detector_of_the_zoo_with_its_float_tail() -> None:
    graph = read_graph("zoo:ssd_mobilenet_v2_300")
    model = cut(graph, 0, len(graph))
    inputs = inputs_of(model)
    tail = len(graph) - 3
    expected = run_uncut(model, inputs)
    for cuts in ([30], [tail], [len(graph) - 1], [20, 60, 61, 90]):
        assert_same(run_chain(graph, cuts, inputs), expected)


# ------------------------------------------------------------------------------------- names


def test_repeated_and_empty_names_are_told_apart_in_every_segment() -> None:
    tiny = Tiny()
    x, z = tiny.tensor("same"), tiny.tensor("same")
    a, b, c, d = (tiny.tensor(name) for name in ("same", None, "", "same#2"))
    tiny.add(x, z, a)
    tiny.relu(a, b)
    tiny.add(a, b, c)
    tiny.add(c, x, d)
    model = tiny.ends([x, z], [d, b]).build()
    graph = graph_from_bytes(model, "m")
    found = [tensor.name for tensor in graph.tensors]
    assert found == ["same#0", "same#1", "same#2#2", "#3", "#4", "same#2"]
    inputs = inputs_of(model)
    expected = run_uncut(model, inputs)
    for cuts in ([1], [2], [3], [1, 2, 3]):
        assert_same(run_chain(graph, cuts, inputs), expected)


def test_unique_names_stay_as_they_are() -> None:
    graph = graph_from_bytes(skipping_model(), "m")
    assert [tensor.name for tensor in graph.tensors] == ["x", "late", *"abydef"]


# ------------------------------------------------------------------------- what a segment keeps


def test_optional_input_stays_left_out() -> None:
    tiny = Tiny()
    x, y, z = tiny.tensor("x"), tiny.tensor("y", (1, 3)), tiny.tensor("z", (1, 3))
    weights = tiny.tensor("w", (3, 4), data=np.arange(-6, 6, dtype=np.int8))
    options = schema.FullyConnectedOptionsT()
    tiny.operator("FULLY_CONNECTED", [x, weights, -1], [y], options, version=4)
    tiny.relu(y, z)
    model = tiny.ends([x], [z]).build()
    graph = graph_from_bytes(model, "m")
    assert list(parse(cut(graph, 0, 1)).subgraphs[0].operators[0].inputs)[2] == -1
    inputs = inputs_of(model)
    assert_same(run_chain(graph, [1], inputs), run_uncut(model, inputs))


def test_custom_code_options_and_shape_signatures_are_kept() -> None:
    tiny = Tiny()
    x, y, z = (tiny.tensor(name) for name in "xyz")
    tiny.graph.tensors[y].shapeSignature = np.array([-1, 4], np.int32)
    tiny.graph.tensors[y].quantization.min = np.array([-3.0], np.float32)
    tiny.relu(x, y)
    options = bytes(range(200)) * 2000
    tiny.operator("CUSTOM", [y], [z], custom=b"MyOp", custom_options=options, version=3)
    graph = graph_from_bytes(tiny.ends([x], [z]).build(), "m")
    assert graph.operators[1].kind == "MyOp"
    part = parse(cut(graph, 1, 2))
    (operator,) = part.subgraphs[0].operators
    code = part.operatorCodes[operator.opcodeIndex]
    assert (code.customCode, code.builtinCode, code.deprecatedBuiltinCode) == (b"MyOp", 32, 32)
    assert code.version == 3
    assert operator.customOptions.tobytes() == options
    (tensor,) = [t for t in part.subgraphs[0].tensors if t.name == b"y"]
    assert tensor.shapeSignature.tolist() == [-1, 4]
    assert tensor.quantization.min.tolist() == [-3.0]
    assert tensor.quantization.scale.tolist() == [0.5]


def test_codes_above_127_written_by_old_and_new_converters() -> None:
    tiny = Tiny()
    x, y, z = (tiny.tensor(name) for name in "xyz")
    tiny.relu(x, y)
    tiny.operator("GELU", [y], [z], schema.GeluOptionsT(), version=2)
    tiny.model.operatorCodes[0].builtinCode = 0  # only the old field, as before schema 3a
    graph = graph_from_bytes(tiny.ends([x], [z]).build(), "m")
    assert [o.kind for o in graph.operators] == ["RELU", "GELU"]
    codes = parse(cut(graph, 0, 2)).operatorCodes
    relu, gelu = schema.BuiltinOperator.RELU, schema.BuiltinOperator.GELU
    assert [(c.builtinCode, c.deprecatedBuiltinCode) for c in codes] == [(relu, relu), (gelu, 127)]


def test_constants_are_aligned_copied_once_and_only_where_needed() -> None:
    builder = GraphBuilder("two")
    x = builder.input("image", (1, 8, 8, 3))
    first = builder.conv(x, 16, 3, name="first")
    builder.output(builder.conv(first, 8, 3, name="second"))
    graph = graph_from_bytes(builder.build(), "two")
    whole = cut(graph, 0, 2)
    for data, expected in ((whole, 4), (cut(graph, 0, 1), 2), (cut(graph, 1, 2), 2)):
        base = np.frombuffer(data, np.uint8)
        buffers = [b.data for b in parse(data).buffers]
        assert buffers[0] is None
        assert len(buffers) - 1 == expected
        for content in buffers[1:]:
            start = content.__array_interface__["data"][0] - base.__array_interface__["data"][0]
            assert 0 < start < len(data)
            assert start % 16 == 0


def test_shared_constant_is_stored_once_in_a_segment() -> None:
    tiny = Tiny()
    x, y, z = (tiny.tensor(name) for name in "xyz")
    k = tiny.tensor("k", data=np.array([1, 2, 3, 4], np.int8))
    again = tiny.tensor("k2")
    tiny.graph.tensors[again].buffer = tiny.graph.tensors[k].buffer
    tiny.add(x, k, y)
    tiny.add(y, again, z)
    graph = graph_from_bytes(tiny.ends([x], [z]).build(), "m")
    assert len(parse(cut(graph, 0, 2)).buffers) == 2
    assert graph.parameter_bytes(0) == graph.parameter_bytes(1) == 4


def test_segment_drops_what_speaks_of_the_whole_model() -> None:
    path = shared_model("mobilenet_v1_0.25_128_quant")
    assert parse(path.read_bytes()).metadata
    part = parse(cut(read_graph(path), 0, 5))
    assert not part.metadata
    assert not part.signatureDefs


def test_cutting_is_repeatable_and_leaves_the_graph_alone() -> None:
    graph = graph_from_bytes(random_graph(5, 12), "m")
    before = cut(graph, 0, 12)
    parts = [cut(graph, i, i + 1) for i in range(12)]
    assert [cut(graph, i, i + 1) for i in range(12)] == parts
    assert cut(graph, 0, 12) == before
    assert cut(graph_from_bytes(random_graph(5, 12), "other"), 3, 7) == cut(graph, 3, 7)


def test_a_segment_of_a_segment_is_a_segment() -> None:
    graph = graph_from_bytes(random_graph(8, 16), "m")
    inner = graph_from_bytes(cut(graph, 4, 12), "inner")
    again = parse(cut(inner, 2, 5)).subgraphs[0]
    direct = parse(cut(graph, 6, 9)).subgraphs[0]
    assert [t.name for t in again.tensors] == [t.name for t in direct.tensors]
    assert len(again.operators) == len(direct.operators) == 3


# ------------------------------------------------------------------------------------- states


def recurrent_model() -> bytes:
    """A recurrent link: operator 2 writes the variable operator 0 reads."""
    tiny = Tiny()
    x, a, b, y = (tiny.tensor(name) for name in "xaby")
    state = tiny.tensor("state", variable=True)
    tiny.add(x, state, a)
    tiny.relu(a, b)
    tiny.add(a, b, state)
    tiny.relu(b, y)
    return tiny.ends([x], [y]).build()


def test_a_state_is_never_torn_apart() -> None:
    graph = graph_from_bytes(recurrent_model(), "recurrent.tflite")
    assert [graph.cuttable(position) for position in range(5)] == [True, False, False, True, True]
    with pytest.raises(ModelError, match=r"before operator 2: operators #0 and #2 share .* state"):
        cut(graph, 0, 2)
    with pytest.raises(ModelError, match="before operator 1"):
        boundary(graph, 1, 4)
    part = parse(cut(graph, 0, 3)).subgraphs[0]
    (state,) = [t for t in part.tensors if t.name == b"state"]
    assert state.isVariable
    assert names(graph, boundary(graph, 0, 3).inputs) == ["x"]
    assert names(graph, boundary(graph, 0, 3).outputs) == ["b"]


def test_lstm_keeps_its_states_to_itself() -> None:
    graph = read_graph(shared_model("keras_lstm_mnist_ptq"))
    (lstm,) = [o for o in graph.operators if o.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM"]
    assert all(graph.cuttable(position) for position in range(len(graph) + 1))
    part = parse(cut(graph, lstm.index, lstm.index + 1)).subgraphs[0]
    assert sum(t.isVariable for t in part.tensors) == 2
    assert len(part.inputs) == len(part.outputs) == 1
    assert len(part.operators[0].intermediates) == len(lstm.intermediates)


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("make", [svdf_denoiser, lstm_denoiser])
def test_chains_remember_as_the_uncut_model(
    make: Callable[[], bytes], resolver: OpResolverType
) -> None:
    """Every set of cuts, as sequences: the states go on in their segments."""
    model = make()
    graph = graph_from_bytes(model, "denoiser")
    items = [[frame] for frame in frames(8)]
    expected = uncut_sequence(model, items, resolver)
    places = range(1, len(graph))
    for cuts in chain.from_iterable(combinations(places, count) for count in range(len(graph))):
        for found, wanted in zip(
            chain_sequence(graph, cuts, items, resolver), expected, strict=True
        ):
            assert_same(found, wanted)


def test_strings_and_resources_do_not_cross() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    handle = tiny.tensor("handle", (1,), type_=schema.TensorType.RESOURCE, scale=None)
    tiny.operator("VAR_HANDLE", [], [handle], schema.VarHandleOptionsT())
    tiny.relu(x, y)
    tiny.operator("ASSIGN_VARIABLE", [handle, y], [], schema.AssignVariableOptionsT())
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m")
    assert not graph.cuttable(1)
    assert "RESOURCE".lower() in (graph.obstacle(2) or "")


# ------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(("first", "end"), [(0, 0), (2, 1), (-1, 2), (0, 4), (3, 3)])
def test_impossible_ranges(first: int, end: int) -> None:
    graph = graph_from_bytes(tiny_chain(3), "chain.tflite")
    with pytest.raises(ConfigError, match=r"chain.tflite: .*operators 0..3"):
        cut(graph, first, end)


def test_constants_stored_behind_the_flatbuffer(tmp_path: Path) -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    values = np.array([1, 2, 3, 4], np.int8)
    k = tiny.tensor("k", data=values)
    tiny.add(x, k, y)
    tiny.ends([x], [y])
    inside = tiny.build()
    buffer = tiny.model.buffers[1]
    buffer.data = None
    buffer.offset, buffer.size = 1000, 4  # large enough for the builder to keep the fields
    start = len(tiny.build())
    buffer.offset = start
    outside = tiny.build() + values.tobytes()
    assert len(outside) == start + 4
    whole = graph_from_bytes(inside, "m")
    graph = graph_from_bytes(outside, "m")
    assert cut(graph, 0, 1) == cut(whole, 0, 1)
    with pytest.raises(ModelError, match="truncated"):
        graph_from_bytes(outside[:-1], "m")


def signed(key: bytes, inputs: dict[bytes, int], outputs: dict[bytes, int]) -> schema.SignatureDefT:
    def named(tensors: dict[bytes, int]) -> list[schema.TensorMapT]:
        return [schema.TensorMapT(name, index) for name, index in tensors.items()]

    return schema.SignatureDefT(named(inputs), named(outputs), key)


def test_a_signature_is_kept_where_all_it_names_is_at_the_edge() -> None:
    tiny = Tiny()
    unused = tiny.tensor("unused")  # so that tensors move
    x, y, z = (tiny.tensor(name) for name in "xyz")
    tiny.relu(x, y)
    tiny.relu(y, z)
    tiny.model.signatureDefs = [signed(b"serving_default", {b"image": x}, {b"scores": z})]
    model = tiny.ends([x], [z]).build()
    assert unused == 0
    graph = graph_from_bytes(model, "m")
    whole = cut(graph, 0, 2)
    signatures = Interpreter(model_content=whole)._get_full_signature_list()
    assert signatures == {"serving_default": {"inputs": {"image": 0}, "outputs": {"scores": 2}}}
    runner = Interpreter(model_content=whole).get_signature_runner("serving_default")
    inputs = inputs_of(model)
    assert_same([runner(image=inputs[0])["scores"]], run_uncut(model, inputs))
    for first, end in ((0, 1), (1, 2)):
        assert parse(cut(graph, first, end)).signatureDefs is None
