"""Executables compute what their segment computes, and say the truth about themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import (
    CompiledSegment,
    CompileOptions,
    Graph,
    Status,
    boundary,
    compile_graph,
    compile_operators,
    compile_parts,
    compile_segment,
    compile_segments,
    compile_together,
    cut,
    graph_from_bytes,
    read_graph,
)
from compiler.mapping.allocation import reserved_bytes
from devices.chip.constants import PARAMETER_MEMORY_BYTES
from devices.errors import ConfigError, ModelError
from devices.executable.description import Executable
from devices.executable.file import executable_from_bytes
from tests.compiler.chain import (
    Array,
    assert_same,
    inputs_of,
    run_segment,
    run_uncut,
    shared_model,
)
from tests.compiler.mapping.test_mapping import branches, float_input_model
from tests.tiny import FLOAT32, Tiny, tiny_chain
from zoo.builder import GraphBuilder
from zoo.random_graph import random_graph


def opened(compiled: CompiledSegment) -> Executable:
    return executable_from_bytes(compiled.data, Path("x_edgetpu.tflite"))


def run_executables(
    graph: Graph, segments: Sequence[CompiledSegment], inputs: Sequence[Array]
) -> list[Array]:
    """Run executables one after the other, model by model, tensors handed on by name."""
    names = [graph.tensors[t].name for t in graph.inputs]
    values = dict(zip(names, inputs, strict=True))
    for segment in segments:
        executable = opened(segment)
        assert {spec.name for spec in executable.inputs} <= values.keys()
        for model in executable.models:
            run_segment(model, values)
        for spec in executable.outputs:
            assert (values[spec.name].dtype.name, values[spec.name].shape) == (
                spec.dtype,
                spec.shape,
            )
    return [values[graph.tensors[t].name] for t in graph.outputs]


# --------------------------------------------------------------------------------- numbers


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 10_000), operators=st.integers(2, 20))
def test_chain_of_executables_equals_the_uncut_model(
    data: st.DataObject, seed: int, operators: int
) -> None:
    model = random_graph(seed, operators)
    graph = graph_from_bytes(model, "random")
    cuts = sorted(data.draw(st.sets(st.integers(1, operators - 1))))
    runtime = data.draw(st.sampled_from([10, 14]))  # at 10, QUANTIZE stays on the CPU
    options = CompileOptions(min_runtime_version=runtime)
    inputs = inputs_of(model, seed)
    found = run_executables(graph, compile_segments(graph, cuts, options), inputs)
    assert_same(found, run_uncut(model, inputs))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 10_000), operators=st.integers(2, 16))
def test_segments_in_any_order_equal_the_uncut_model(
    data: st.DataObject, seed: int, operators: int
) -> None:
    """Branches in another order than the file's, cut anywhere."""
    model = random_graph(seed, operators)
    graph = graph_from_bytes(model, "random")
    order: list[int] = []
    while len(order) < operators:
        ready = [
            i
            for i in range(operators)
            if i not in order
            and all(m is None or m in order for m in (graph.makers[t] for t in graph.read_by(i)))
        ]
        order.append(data.draw(st.sampled_from(ready)))
    cuts = sorted(data.draw(st.sets(st.integers(1, operators - 1))))
    parts = [sorted(order[a:b]) for a, b in pairwise((0, *cuts, operators))]
    inputs = inputs_of(model, seed)
    found = run_executables(graph, compile_parts(graph, parts), inputs)
    assert_same(found, run_uncut(model, inputs))


def test_operators_that_cannot_be_a_segment() -> None:
    graph = graph_from_bytes(tiny_chain(5), "m")
    assert compile_operators(graph, (1, 2)).data == compile_segment(graph, 1, 3).data
    for operators, complaint in (
        ((), "one or more"),
        ((2, 1), "ascending order"),
        ((1, 9), "ascending order"),
        ((0, 2), "operator 2 needs results of operators outside"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            compile_operators(graph, operators)


def test_branches_around_an_unsupported_operator() -> None:
    model = branches()[0].build()
    graph = graph_from_bytes(model, "m")
    inputs = inputs_of(model)
    compiled = compile_graph(graph)
    executable = opened(compiled)
    assert [spec.name for spec in executable.parts[0].outputs] == ["a", "e"]
    assert_same(run_executables(graph, [compiled], inputs), run_uncut(model, inputs))


def test_float_inputs_and_outputs() -> None:
    model = float_input_model()
    graph = graph_from_bytes(model, "m")
    compiled = compile_graph(graph)
    assert [w.target for w in compiled.info.operators] == ["tpu", "cpu", "cpu"]
    assert (compiled.report.mapped_operators, compiled.report.cpu_operators) == (1, 2)
    inputs = inputs_of(model)
    assert_same(run_executables(graph, [compiled], inputs), run_uncut(model, inputs))


def test_input_needed_by_the_tail_only_and_input_handed_through() -> None:
    tiny = Tiny()
    x, late, unread = (tiny.tensor(name) for name in ("x", "late", "unread"))
    a, b, y = (tiny.tensor(name) for name in "aby")
    tiny.relu(x, a)
    tiny.operator("HARD_SWISH", [a], [b])
    tiny.add(b, late, y)
    model = tiny.ends([x, late, unread], [y, a, x]).build()
    graph = graph_from_bytes(model, "m")
    inputs = inputs_of(model)
    for cuts in ([], [1], [2], [1, 2]):
        segments = compile_segments(graph, cuts)
        assert {s.name for e in map(opened, segments) for s in e.inputs} >= {"x", "late", "unread"}
        found = run_executables(graph, segments, inputs)
        assert_same(found[:2], run_uncut(model, inputs)[:2])
        assert_same(found[2:], inputs[:1])


@pytest.mark.parametrize("name", ["keras_lstm_mnist_ptq", "split_concat"])
def test_real_models(name: str) -> None:
    path = shared_model(name)
    graph = read_graph(path)
    inputs = inputs_of(path.read_bytes())
    expected = run_uncut(path.read_bytes(), inputs)
    for position in range(1, len(graph)):
        segments = compile_segments(graph, [position])
        assert_same(run_executables(graph, segments, inputs), expected)


def test_detector_with_its_tail_in_a_segment_of_its_own() -> None:
    graph = read_graph("zoo:ssd_mobilenet_v2_300")
    model = cut(graph, 0, len(graph))
    inputs = inputs_of(model)
    expected = run_uncut(model, inputs)
    tail = len(graph) - 3
    for cuts in ([], [tail], [40, len(graph) - 1]):
        assert_same(run_executables(graph, compile_segments(graph, cuts), inputs), expected)
    alone = compile_segment(graph, tail, len(graph))
    executable = opened(alone)
    assert executable.parts[0].model is None
    assert executable.parts[0].inputs == executable.parts[0].outputs == ()
    assert len(executable.models) == 1
    assert alone.info.caching_token == alone.info.instruction_bytes == 0
    assert {w.target for w in alone.info.operators} == {"cpu"}


# ------------------------------------------------------------------------------ description


def test_everything_said_can_be_read_back() -> None:
    graph = read_graph("zoo:ssd_mobilenet_v2_300")
    compiled = compile_graph(graph, CompileOptions(min_runtime_version=13))
    executable = opened(compiled)
    assert executable.info == compiled.info
    assert executable.info.min_runtime_version == 13
    edge = boundary(graph, 0, len(graph))
    assert [s.name for s in executable.inputs] == [graph.tensors[t].name for t in edge.inputs]
    assert [s.shape for s in executable.outputs] == [graph.tensors[t].shape for t in edge.outputs]
    assert [s.dtype for s in executable.outputs] == ["float32"] * 4
    assert executable.inputs == executable.parts[0].inputs
    assert {s.name for s in executable.parts[0].outputs}.isdisjoint(
        s.name for s in executable.outputs
    )
    kinds = [w.name for w in compiled.info.operators]
    assert kinds == [o.kind for o in graph.operators]
    report = compiled.report
    assert (report.mapped_operators, report.cpu_operators) == (len(graph) - 3, 3)
    assert report.operators[-1] == ("CUSTOM", Status.DATA_TYPE)
    assert report.output_bytes == len(compiled.data)
    assert report.used_on_chip_bytes == compiled.info.on_chip_bytes
    assert compiled.cpu_data == cut(graph, 0, len(graph))


def test_large_network_streams_what_does_not_fit() -> None:
    graph = read_graph("zoo:resnet50_224")
    info = compile_graph(graph).info
    available = PARAMETER_MEMORY_BYTES - reserved_bytes(len(graph))
    assert info.available_on_chip_bytes == available
    assert 0.95 * available < info.on_chip_bytes <= available
    total = sum(w.parameter_bytes for w in info.operators)
    assert info.off_chip_bytes == total - info.on_chip_bytes > 15e6
    halves = compile_segments(graph, [20, 45, 60, 68])
    assert sum(h.info.off_chip_bytes for h in halves) < info.off_chip_bytes


def test_same_input_same_bytes() -> None:
    graph = graph_from_bytes(random_graph(3, 12), "a")
    again = graph_from_bytes(random_graph(3, 12), "another name")
    assert compile_graph(graph).data == compile_graph(again).data
    assert compile_segment(graph, 2, 7).data == compile_segment(again, 2, 7).data


# ----------------------------------------------------------------------------------- tokens


def conv_model(name: str, channels: int) -> Graph:
    builder = GraphBuilder(name)
    x = builder.input("image", (1, 8, 8, 3))
    builder.output(builder.conv(x, channels, 3, name="conv"))
    return graph_from_bytes(builder.build(), name)


def test_every_model_has_its_own_token() -> None:
    tokens = {compile_graph(conv_model(name, 16)).info.caching_token for name in "abc"}
    assert len(tokens) == 3
    assert all(0 < token < 2**64 for token in tokens)


def test_nothing_cached_no_token() -> None:
    assert compile_graph(graph_from_bytes(tiny_chain(), "m")).info.caching_token == 0


def test_segments_of_one_compilation_share_a_token_and_start_at_zero() -> None:
    graph = read_graph("zoo:mobilenet_v2_1.0_224")
    segments = compile_segments(graph, [20, 40])
    assert len({s.info.caching_token for s in segments}) == 1
    assert [s.info.on_chip_offset_bytes for s in segments] == [0, 0, 0]
    others = compile_segments(graph, [20, 41])
    assert others[0].info.caching_token != segments[0].info.caching_token
    assert compile_segment(graph, 0, 20).info.caching_token != segments[0].info.caching_token


def test_co_compiled_models_share_memory_in_order() -> None:
    resnet, mobilenet = read_graph("zoo:resnet50_224"), read_graph("zoo:mobilenet_v2_1.0_224")
    small = conv_model("small", 16)
    options = CompileOptions()
    first, second, third = compile_together([(g, options) for g in (mobilenet, resnet, small)])
    alone = compile_graph(mobilenet)
    reserve = max(reserved_bytes(len(g)) for g in (mobilenet, resnet, small))
    assert first.info.on_chip_bytes == alone.info.on_chip_bytes
    assert first.info.on_chip_offset_bytes == 0
    assert first.info.available_on_chip_bytes == PARAMETER_MEMORY_BYTES - reserve
    used = 0
    for part in (first, second, third):
        assert part.info.on_chip_offset_bytes == used
        assert part.info.available_on_chip_bytes == PARAMETER_MEMORY_BYTES - reserve - used
        used += part.info.on_chip_bytes
    assert used <= PARAMETER_MEMORY_BYTES - reserve
    assert second.info.off_chip_bytes > compile_graph(resnet).info.off_chip_bytes
    assert len({p.info.caching_token for p in (first, second, third)}) == 1
    assert first.info.caching_token not in (0, alone.info.caching_token)
    reverse = compile_together([(g, options) for g in (resnet, mobilenet)])
    assert reverse[0].info.on_chip_bytes > second.info.on_chip_bytes


def test_model_that_caches_nothing_shares_the_token_lest_it_wipe_the_others() -> None:
    chain = graph_from_bytes(tiny_chain(), "chain")
    options = CompileOptions()
    cached, nothing = compile_together([(conv_model("c", 8), options), (chain, options)])
    assert nothing.info.on_chip_bytes == 0
    assert nothing.info.caching_token == cached.info.caching_token != 0


def test_one_model_compiled_together_is_that_model() -> None:
    graph = conv_model("c", 8)
    assert compile_together([(graph, CompileOptions())])[0].data == compile_graph(graph).data


# ------------------------------------------------------------------------------- refusals


def float_model() -> Graph:
    tiny = Tiny()
    x, y = (tiny.tensor(name, type_=FLOAT32, scale=None) for name in "xy")
    tiny.relu(x, y)
    return graph_from_bytes(tiny.ends([x], [y]).build(), "float.tflite")


def test_float_model() -> None:
    expected = "Invalid model: float.tflite: Model not quantized"
    for attempt in (
        lambda: compile_graph(float_model()),
        lambda: compile_segments(float_model(), []),
        lambda: compile_together([(float_model(), CompileOptions())]),
    ):
        with pytest.raises(ModelError, match=expected):
            attempt()


def test_float_segment_compiles_for_the_cpu() -> None:
    compiled = compile_segment(float_model(), 0, 1)
    assert opened(compiled).parts[0].model is None


def test_unknown_intermediate_tensor() -> None:
    graph = graph_from_bytes(tiny_chain(3), "chain.tflite")
    with pytest.raises(ConfigError, match=r"'nix', but no tensor of chain.tflite"):
        compile_graph(graph, CompileOptions(intermediate_tensors=("t1", "nix")))
    compiled = compile_graph(graph, CompileOptions(intermediate_tensors=("t1",)))
    assert [spec.name for spec in opened(compiled).parts[0].outputs] == ["t1"]
    assert compiled.report.mapped_operators == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_runtime_version", 9),
        ("min_runtime_version", 15),
        ("delegate_search_step", 0),
        ("timeout_sec", 0),
        ("timeout_sec", -1.0),
        ("timeout_sec", float("nan")),
    ],
)
def test_option_values(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{field} is {value}"):
        replace(CompileOptions(), **{field: value})


def test_cuts_in_the_wrong_order() -> None:
    graph = graph_from_bytes(tiny_chain(4), "m")
    for cuts in ([2, 2], [3, 1], [0], [4], [9]):
        with pytest.raises(ConfigError, match="at least one operator"):
            compile_segments(graph, cuts)
    assert len(compile_segments(graph, [1, 2, 3])) == 4


def test_strings_cannot_leave_the_model() -> None:
    tiny = Tiny()
    x = tiny.tensor("x")
    y = tiny.tensor("y", type_=5, scale=None)
    tiny.operator("CUSTOM", [x], [y], custom=b"Speak")
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "talker.tflite")
    with pytest.raises(ModelError, match=r"talker.tflite: tensor y of type string"):
        compile_segment(graph, 0, 1)
