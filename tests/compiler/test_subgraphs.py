"""Several Edge TPU subgraphs in one executable (``-a``)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import (
    CompiledSegment,
    CompileOptions,
    Graph,
    Status,
    compile_graph,
    compile_segments,
    compile_together,
    graph_from_bytes,
    read_graph,
)
from compiler.mapping import judge, map_segment
from compiler.mapping.allocation import reserved_bytes
from compiler.mapping.support import WITHOUT_WORK
from devices.chip import PARAMETER_MEMORY_BYTES, DeviceConfig, SimulatedChip
from devices.executable import executable_from_bytes, tflite_file
from tests.compiler.chain import Array, assert_same, inputs_of, run_uncut, shared_model
from tests.tiny import FLOAT32, Tiny
from zoo.builder import GraphBuilder
from zoo.random_graph import random_graph

SEVERAL = CompileOptions(enable_multiple_subgraphs=True)


def run_on_chips(
    graph: Graph, segments: Sequence[CompiledSegment], inputs: Sequence[Array]
) -> list[Array]:
    """Outputs of executables that run one behind the other, each on a chip of its own."""
    names = [graph.tensors[t].name for t in graph.inputs]
    values: dict[str, Any] = dict(zip(names, inputs, strict=True))
    for segment in segments:
        executable = executable_from_bytes(segment.data, Path("m"))
        chip = SimulatedChip("chip", DeviceConfig(), read=lambda _, e=executable: e)
        loaded = chip.load(Path("m"))
        chip.execute(loaded.handle, {spec.name: values[spec.name] for spec in loaded.inputs})
        made = {spec.name: np.empty(spec.shape, spec.dtype) for spec in loaded.outputs}
        chip.fetch(loaded.handle, made)
        values |= made
    return [values[graph.tensors[t].name] for t in graph.outputs]


def interrupted(model: bytes, places: Sequence[tuple[int, str, bool]]) -> bytes:
    """A model with operators that the chip does not have behind some of its tensors.

    Each of ``places`` says behind which operator (modulo), what, and whether all who read the
    result read it from there or only the last of them.
    """
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    graph = tree.subgraphs[0]
    for number, (place, kind, everyone) in enumerate(places):
        of_8_bits = [
            at
            for at, one in enumerate(graph.operators)
            if graph.tensors[one.outputs[0]].type != FLOAT32
        ]
        place = of_8_bits[place % len(of_8_bits)]
        source = int(graph.operators[place].outputs[0])
        tensor = copy.copy(graph.tensors[source])
        tensor.name = f"interrupted {number}"
        graph.tensors.append(tensor)
        result = len(graph.tensors) - 1
        readers = [one for one in graph.operators if source in list(one.inputs)]
        for reader in readers if everyone else readers[-1:]:
            reader.inputs = np.array(
                [result if t == source else t for t in reader.inputs], np.int32
            )
        if not readers:
            graph.outputs = np.array([*graph.outputs, result], np.int32)
        added = [_operator(tree, kind, source, result)]
        if kind == "DEQUANTIZE":
            between = copy.copy(tensor)
            between.name, between.type, between.quantization = f"float {number}", FLOAT32, None
            graph.tensors.append(between)
            added[0].outputs = np.array([result + 1], np.int32)
            added.append(_operator(tree, "QUANTIZE", result + 1, result))
        graph.operators[place + 1 : place + 1] = added
    return tflite_file.pack_model(tree)


def _operator(tree: Any, kind: str, source: int, result: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = len(tree.operatorCodes)
    version = 2 if kind == "DEQUANTIZE" else 1
    tree.operatorCodes.append(
        tflite_file.operator_code(getattr(schema.BuiltinOperator, kind), version=version)
    )
    operator.inputs = np.array([source], np.int32)
    operator.outputs = np.array([result], np.int32)
    if kind == "LEAKY_RELU":
        operator.builtinOptionsType = schema.BuiltinOptions.LeakyReluOptions
        operator.builtinOptions = schema.LeakyReluOptionsT()
        operator.builtinOptions.alpha = 0.5
    return operator


_PLACES = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(["LEAKY_RELU", "LEAKY_RELU", "DEQUANTIZE"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), operators=st.integers(2, 20), places=_PLACES)
def test_executables_of_several_parts_equal_the_uncut_model(
    seed: int, operators: int, places: list[tuple[int, str, bool]]
) -> None:
    model = interrupted(random_graph(seed, operators), places)
    graph = graph_from_bytes(model, "random")
    compiled = compile_graph(graph, SEVERAL)
    inputs = inputs_of(model, seed)
    assert_same(run_on_chips(graph, [compiled], inputs), run_uncut(model, inputs))
    parts = executable_from_bytes(compiled.data, Path("m")).parts
    assert compiled.infos == tuple(part.info for part in parts)
    sizes = [info.on_chip_bytes for info in compiled.infos]
    offsets = [info.on_chip_offset_bytes for info in compiled.infos]
    assert offsets == list(accumulate(sizes, initial=0))[:-1]
    assert len({info.caching_token for info in compiled.infos}) == 1


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), operators=st.integers(2, 24), places=_PLACES)
def test_parts_are_as_few_as_can_be_and_need_each_other_one_way(
    seed: int, operators: int, places: list[tuple[int, str, bool]]
) -> None:
    graph = graph_from_bytes(interrupted(random_graph(seed, operators), places), "random")
    found = map_segment(graph, range(len(graph)), 14, several=True)
    mapped = set(found.mapped)
    before = [{graph.makers[t] for t in graph.read_by(i)} - {None} for i in range(len(graph))]
    # Whoever needs a result of a turn is in the same one or later: no circles, no way back in.
    turns = [found.cpu[0]]
    for part, cpu in zip(found.parts, found.cpu[1:], strict=True):
        turns += [part, cpu]
    turn = {i: number for number, members in enumerate(turns) for i in members}
    assert sorted(turn) == list(range(len(graph)))
    assert all(turn[maker] <= turn[i] for i in range(len(graph)) for maker in before[i])
    # Along any way, the chip's turns are what every arrangement needs at least.
    needed: list[int] = []
    for i in range(len(graph)):
        needed.append(
            max(
                (needed[m] + (i in mapped and m not in mapped) for m in before[i]),
                default=int(i in mapped),
            )
            or int(i in mapped)
        )
    assert len([part for part in found.parts if part]) == max(needed)
    # All that is supported is mapped, but for parts that would only move values.
    for i in range(len(graph)):
        if judge(graph, i, 14).is_mapped and i not in mapped:
            assert graph.operators[i].kind in WITHOUT_WORK
            assert "a subgraph would compute nothing" in found.verdicts[i].reason
    if len(found.parts) > 1:
        for part in found.parts:
            assert {graph.operators[i].kind for i in part} - WITHOUT_WORK


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000), operators=st.integers(6, 20), places=_PLACES, at=st.integers(1, 5)
)
def test_segments_may_have_several_parts(
    seed: int, operators: int, places: list[tuple[int, str, bool]], at: int
) -> None:
    model = interrupted(random_graph(seed, operators), places)
    graph = graph_from_bytes(model, "random")
    segments = compile_segments(graph, [at], SEVERAL)
    inputs = inputs_of(model, seed)
    assert_same(run_on_chips(graph, segments, inputs), run_uncut(model, inputs))
    tokens = {info.caching_token for one in segments for info in one.infos if one.plan.mapped_count}
    assert len(tokens) <= 1


# ------------------------------------------------------------------------------ by hand


def ladder() -> GraphBuilder:
    """CONV, LEAKY_RELU, CONV, LEAKY_RELU, CONV."""
    graph = GraphBuilder("ladder")
    x = graph.input("x", (1, 8, 8, 16))
    for number in range(3):
        x = graph.conv(x, 16, (3, 3), name=f"conv{number}")
    graph.output(x)
    return graph


def ladder_model() -> bytes:
    return interrupted(ladder().build(), [(0, "LEAKY_RELU", True), (2, "LEAKY_RELU", True)])


def test_every_part_behind_an_operator_of_the_cpu() -> None:
    graph = graph_from_bytes(ladder_model(), "m")
    without, compiled = compile_graph(graph), compile_graph(graph, SEVERAL)
    assert [(one.operators, one.behind) for one in without.report.subgraphs] == [((0,), None)]
    found = [(one.operators, one.behind) for one in compiled.report.subgraphs]
    assert found == [((0,), None), ((2,), 1), ((4,), 3)]
    names = [[work.name for work in info.operators] for info in compiled.infos]
    assert names == [["CONV_2D", "LEAKY_RELU"], ["CONV_2D", "LEAKY_RELU"], ["CONV_2D"]]
    reserve = reserved_bytes(1)
    used = sum(info.on_chip_bytes for info in compiled.infos)
    assert compiled.report.used_on_chip_bytes == used == 3 * without.report.used_on_chip_bytes
    assert compiled.report.remaining_on_chip_bytes == PARAMETER_MEMORY_BYTES - reserve - used


def test_parts_of_models_that_share_a_device_lie_one_behind_the_other() -> None:
    graph = graph_from_bytes(ladder_model(), "m")
    first, second = compile_together([(graph, SEVERAL), (graph, SEVERAL)])
    infos = (*first.infos, *second.infos)
    sizes = [info.on_chip_bytes for info in infos]
    assert [info.on_chip_offset_bytes for info in infos] == list(accumulate(sizes, initial=0))[:-1]
    assert len({info.caching_token for info in infos} | {0}) == 2


@pytest.mark.parametrize("name", ["split_concat", "keras_lstm_mnist_ptq"])
def test_a_model_that_maps_as_a_whole_is_compiled_as_without(name: str) -> None:
    graph = read_graph(shared_model(name))
    assert compile_graph(graph, SEVERAL).data == compile_graph(graph).data


def chain(*kinds: str) -> Graph:
    """Operators one behind the other on tensors t0, t1, ...; HARD_SWISH stays on the CPU."""
    tiny = Tiny()
    tensors = [tiny.tensor(f"t{i}") for i in range(len(kinds) + 1)]
    shape = tiny.tensor("shape", (2,), data=np.array([1, 4], np.int32), type_=2, scale=None)
    for kind, before, after in zip(kinds, tensors[:-1], tensors[1:], strict=True):
        if kind == "SOFT":
            tiny.operator("HARD_SWISH", [before], [after])
        elif kind == "RESHAPE":
            # A RESHAPE that changes nothing is a copy, which is mapped like any other.
            tiny.operator(kind, [before, shape], [after])
        else:
            tiny.relu(before, after)
    return graph_from_bytes(tiny.ends([tensors[0]], [tensors[-1]]).build(), "m")


@pytest.mark.parametrize(
    ("kinds", "parts"),
    [
        ("RELU SOFT RESHAPE SOFT RELU", [(0,), (4,)]),
        ("RELU SOFT RESHAPE RELU", [(0,), (2, 3)]),
        ("RESHAPE SOFT RELU", [(2,)]),
        ("RESHAPE SOFT RESHAPE", [(0,)]),
        ("SOFT RELU", [(1,)]),  # without -a nothing behind it is mapped
        ("RESHAPE", [(0,)]),
        ("SOFT", [()]),
    ],
)
def test_a_part_that_only_moves_values_is_left_to_the_cpu(
    kinds: str, parts: list[tuple[int, ...]]
) -> None:
    graph = chain(*kinds.split())
    found = map_segment(graph, range(len(graph)), 14, several=True)
    assert list(found.parts) == parts
    for i, kind in enumerate(kinds.split()):
        verdict = found.verdicts[i]
        if kind == "RESHAPE" and i not in found.mapped:
            assert verdict.status is Status.LIMITATION
            assert verdict.reason.endswith("a subgraph would compute nothing, with only RESHAPE")
            assert verdict.behind == (i - 1 if i else None)


def test_nothing_is_mapped_again_behind_intermediate_tensors() -> None:
    graph = chain("RELU", "SOFT", "RELU", "SOFT", "RELU")
    for stop, parts in ((2, [(0,)]), (3, [(0,), (2,)]), (4, [(0,), (2,)])):
        found = map_segment(graph, range(5), 14, frozenset([stop]), several=True)
        assert list(found.parts) == parts
        assert found.verdicts[4].status is Status.SECOND_SUBGRAPH


def test_operators_that_share_a_state_run_in_one_turn() -> None:
    """The CPU writes at the end the state that it reads in front: nothing may come between."""
    tiny = Tiny()
    x, a, b, c, d, y = (tiny.tensor(name) for name in "xabcdy")
    state = tiny.tensor("state", variable=True)
    tiny.operator("HARD_SWISH", [x], [a])
    tiny.operator("SQUARED_DIFFERENCE", [a, state], [b])
    tiny.relu(b, c)
    tiny.operator("SQUARED_DIFFERENCE", [c, state], [d])
    tiny.relu(d, y)
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m")
    found = map_segment(graph, range(5), 14, several=True)
    assert (found.parts, found.cpu) == (((4,),), ((0, 1, 2, 3), ()))
    assert "share the state of variable tensor state" in found.verdicts[2].reason


@pytest.mark.parametrize(
    "name",
    ["deeplabv3_mnv2_dm05_pascal_quant", "yamnet_spectra_in", "mobilenet_v1_0.25_128_quant"],
)
def test_real_models(name: str) -> None:
    path = shared_model(name)
    graph = read_graph(path)
    compiled = compile_graph(graph, SEVERAL)
    inputs = inputs_of(path.read_bytes(), 1)
    assert_same(run_on_chips(graph, [compiled], inputs), run_uncut(path.read_bytes(), inputs))
    assert len(compiled.report.subgraphs) == (2 if name.startswith("deeplab") else 1)
