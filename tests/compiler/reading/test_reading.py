"""Reading a model: what a graph holds, and one sentence for every kind of damage."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import compile_graph, cut, graph_from_bytes, read_graph
from devices.errors import ModelError
from tests.compiler.chain import assert_same, inputs_of, run_chain, run_uncut, shared_model
from tests.tiny import FLOAT32, Tiny, parse, tiny_chain
from zoo.random_graph import random_graph


def refusal(data: bytes, name: str = "bad.tflite") -> str:
    """The sentence with which a model is refused; fails when it is not."""
    with pytest.raises(ModelError) as caught:
        graph_from_bytes(data, name)
    sentence = str(caught.value)
    assert sentence.startswith(name)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# ---------------------------------------------------------------------------------- sound files


def test_graph_of_a_small_model() -> None:
    tiny = Tiny()
    x, y, z = tiny.tensor("x"), tiny.tensor("y"), tiny.tensor("z")
    k = tiny.tensor("k", data=np.array([1, -2, 3, -4], np.int8))
    tiny.add(x, k, y)
    tiny.add(y, x, z)
    graph = graph_from_bytes(tiny.ends([x], [z]).build(), "dir/small.v1.tflite")
    assert (graph.name, graph.stem) == ("dir/small.v1.tflite", "small.v1")
    assert [o.kind for o in graph.operators] == ["ADD", "ADD"]
    assert (graph.inputs, graph.outputs) == ((x,), (z,))
    assert graph.makers == (None, 0, 1, None)
    assert graph.readers == ((0, 1), (1,), (), (0,))
    assert graph.last_use == (1, 1, 2, 0)
    constant = graph.tensors[k]
    assert constant.is_constant
    assert constant.values().tolist() == [[1, -2, 3, -4]]
    assert (constant.dtype, constant.shape, constant.size_bytes) == ("int8", (1, 4), 4)
    assert constant.scales == (0.5,)
    assert [graph.parameter_bytes(i) for i in range(2)] == [4, 0]
    assert not graph.tensors[x].is_constant


def test_constants_are_views_of_the_file() -> None:
    data = random_graph(3, 12)
    graph = graph_from_bytes(data, "m")
    base = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    found = 0
    for tensor in graph.tensors:
        if tensor.data is not None:
            start = tensor.data.__array_interface__["data"][0]
            assert base < start < base + len(data)
            found += 1
    assert found >= 4


@pytest.mark.parametrize("spec", ["str", "path"])
def test_stem_and_name_of_a_file(tmp_path: Path, spec: str) -> None:
    path = tmp_path / "my.model.tflite"
    path.write_bytes(tiny_chain())
    graph = read_graph(str(path) if spec == "str" else path)
    assert (graph.name, graph.stem) == (str(path), "my.model")


def test_zoo_model() -> None:
    graph = read_graph("zoo:mobilenet_v2_1.0_224")
    assert (graph.name, graph.stem) == ("zoo:mobilenet_v2_1.0_224", "mobilenet_v2_1.0_224")
    with pytest.raises(ModelError, match="the zoo has no model 'nonexistent'; it has"):
        read_graph("zoo:nonexistent")


def test_operators_out_of_order_are_sorted_and_compute_the_same() -> None:
    data = random_graph(12, 16)
    tree = parse(data)
    operators = tree.subgraphs[0].operators
    random.Random(1).shuffle(operators)
    shuffled = Tiny()
    shuffled.model = tree
    graph = graph_from_bytes(shuffled.build(), "shuffled")
    assert sorted(o.file_index for o in graph.operators) == list(range(16))
    assert [o.file_index for o in graph.operators] != list(range(16))
    for operator in graph.operators:
        for t in operator.inputs:
            assert graph.makers[t] is None or graph.makers[t] < operator.index
    inputs = inputs_of(data)
    assert_same(run_chain(graph, [4, 9], inputs), run_uncut(data, inputs))


def test_order_of_a_sound_file_is_kept() -> None:
    graph = graph_from_bytes(random_graph(4, 20), "m")
    assert [o.file_index for o in graph.operators] == list(range(20))


def test_shapes_a_converter_left_out_are_filled_in() -> None:
    tree = parse(cut_of_detector())
    for t in tree.subgraphs[0].operators[-1].outputs:
        tree.subgraphs[0].tensors[t].shape = None
    without = Tiny()
    without.model = tree
    graph = graph_from_bytes(without.build(), "m")
    whole = graph_from_bytes(cut_of_detector(), "m")
    shapes = [graph.tensors[t].shape for t in graph.outputs]
    assert shapes == [whole.tensors[t].shape for t in whole.outputs]
    assert all(shapes)


def cut_of_detector() -> bytes:
    """The last operators of the zoo's detector, post-processing included."""
    graph = read_graph("zoo:ssd_mobilenet_v2_300")
    return cut(graph, len(graph) - 3, len(graph))


# --------------------------------------------------------------------------------- the file


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone.tflite does not exist.*zoo:NAME"):
        read_graph(tmp_path / "gone.tflite")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a directory"):
        read_graph(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "e.tflite").write_bytes(b"")
    with pytest.raises(ModelError, match=r"e.tflite is empty"):
        read_graph(tmp_path / "e.tflite")


def test_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.tflite")
    with pytest.raises(ModelError, match="not a regular file"):
        read_graph(tmp_path / "p.tflite")


def test_impossible_path() -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_graph("a" * 5000)
    with pytest.raises(ModelError):
        read_graph("null\0byte")


def test_text_file() -> None:
    assert "not a .tflite file" in refusal(b"This is a README, not a model. " * 40)
    assert "not a .tflite file" in refusal(b"x")


def test_already_compiled() -> None:
    compiled = compile_graph(graph_from_bytes(random_graph(1), "m")).data
    assert "already compiled" in refusal(compiled)
    cpu_only = compile_graph_on_cpu()
    assert "already compiled" in refusal(cpu_only)


def compile_graph_on_cpu() -> bytes:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y", type_=FLOAT32, scale=None)
    tiny.operator("DEQUANTIZE", [x], [y], version=2)
    return compile_graph(graph_from_bytes(tiny.ends([x], [y]).build(), "m")).data


# --------------------------------------------------------------------------- unsound contents


def two_subgraphs(tiny: Tiny) -> None:
    options = schema.WhileOptionsT()
    options.condSubgraphIndex = options.bodySubgraphIndex = 1
    tiny.operator("WHILE", [0], [tiny.tensor("again")], options)
    tiny.model.subgraphs.append(tiny.graph)


def test_a_second_subgraph_that_nobody_runs_does_no_harm() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    tiny.relu(x, y)
    tiny.ends([x], [y])
    alone = cut(graph_from_bytes(tiny.build(), "m"), 0, 1)
    tiny.model.subgraphs.append(tiny.graph)
    assert cut(graph_from_bytes(tiny.build(), "m"), 0, 1) == alone


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_no_scale_is_refused(scale: float) -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y", scale=scale)
    tiny.relu(x, y)
    with pytest.raises(ModelError, match=r"tensor 1 \(y\) is quantised with scale"):
        graph_from_bytes(tiny.ends([x], [y]).build(), "m")


def test_types_that_contradict_each_other_are_refused() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y", type_=FLOAT32, scale=None)
    tiny.add(x, x, y)
    with pytest.raises(ModelError, match=r"operator 0 \(ADD\) contradict .* 'y' float32"):
        graph_from_bytes(tiny.ends([x], [y]).build(), "m")


def test_what_dequantize_makes_is_a_float() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    tiny.operator("DEQUANTIZE", [x], [y], version=2)
    with pytest.raises(ModelError, match="'y' is int8, where float16 or float32 is made"):
        graph_from_bytes(tiny.ends([x], [y]).build(), "m")


def test_a_shape_left_out_behind_a_builtin_operator_is_found() -> None:
    tiny = Tiny()
    x, a = tiny.tensor("x", (1, 6)), tiny.tensor("a", ())
    y = tiny.tensor("y", (), type_=FLOAT32, scale=None)
    tiny.relu(x, a)
    tiny.operator("DEQUANTIZE", [a], [y], version=2)
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m")
    assert [graph.tensors[t].shape for t in (a, y)] == [(1, 6), (1, 6)]


def test_a_pointer_of_git_lfs_is_called_one() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    with pytest.raises(ModelError, match="git lfs pull"):
        graph_from_bytes(pointer, "m")


def no_operators(tiny: Tiny) -> None:
    tiny.graph.operators = []


def no_outputs(tiny: Tiny) -> None:
    tiny.graph.outputs = np.array([], np.int32)


def bad_operator_code(tiny: Tiny) -> None:
    tiny.graph.operators[1].opcodeIndex = 7


def bad_tensor_index(tiny: Tiny) -> None:
    tiny.graph.operators[1].inputs = np.array([99], np.int32)


def negative_output(tiny: Tiny) -> None:
    tiny.graph.operators[1].outputs = np.array([-1], np.int32)


def bad_graph_input(tiny: Tiny) -> None:
    tiny.graph.inputs = np.array([-5], np.int32)


def bad_buffer_index(tiny: Tiny) -> None:
    tiny.graph.tensors[3].buffer = 50


def short_constant(tiny: Tiny) -> None:
    tiny.model.buffers[1].data = np.zeros(3, np.uint8)


def dynamic_shape(tiny: Tiny) -> None:
    tiny.graph.tensors[1].shape = np.array([-1, 4], np.int32)


def giant_shape(tiny: Tiny) -> None:
    tiny.graph.tensors[1].shape = np.array([1 << 20, 1 << 20], np.int32)


def circle(tiny: Tiny) -> None:
    tiny.graph.operators[0].inputs = np.array([2, 3], np.int32)


def made_twice(tiny: Tiny) -> None:
    tiny.graph.operators[1].outputs = np.array([1], np.int32)
    tiny.graph.outputs = np.array([1], np.int32)


def made_by_nobody(tiny: Tiny) -> None:
    tiny.graph.inputs = np.array([], np.int32)


def input_made(tiny: Tiny) -> None:
    tiny.graph.inputs = np.array([0, 1], np.int32)


def constant_written(tiny: Tiny) -> None:
    tiny.graph.operators[1].outputs = np.array([3], np.int32)
    tiny.graph.outputs = np.array([3], np.int32)


def output_from_nowhere(tiny: Tiny) -> None:
    tiny.graph.outputs = np.array([tiny.tensor("orphan")], np.int32)


def unknown_operator(tiny: Tiny) -> None:
    tiny.model.operatorCodes[1].builtinCode = 9999


def nameless_custom(tiny: Tiny) -> None:
    tiny.model.operatorCodes[1].builtinCode = 32
    tiny.model.operatorCodes[1].deprecatedBuiltinCode = 32


def variable_as_output(tiny: Tiny) -> None:
    tiny.graph.tensors[2].isVariable = True


SPOILERS: dict[Callable[[Tiny], None], str] = {
    two_subgraphs: "runs subgraph 1, but control flow",
    no_operators: "no operators",
    no_outputs: "no outputs",
    bad_operator_code: "operator 1 has operator code 7",
    bad_tensor_index: r"operator 1 \(RELU\) reads tensor 99, but the model has 4",
    negative_output: r"operator 1 \(RELU\) writes tensor -1",
    bad_graph_input: "graph inputs names tensor -5",
    bad_buffer_index: r"tensor 3 \(k\) is stored in buffer 50, but the model has 2",
    short_constant: r"tensor 3 \(k\) has 3 bytes where int8 \[1, 4\] needs 4",
    dynamic_shape: r"tensor 1 \(y\) has the dynamic shape \[-1, 4\]",
    giant_shape: r"tensor 1 \(y\) has shape .* needs 1099511627776 bytes",
    circle: "circle",
    made_twice: r"tensor 1 \(y\) is written by operator 0 and again by operator 1",
    made_by_nobody: r"operator 0 \(ADD\) reads tensor 0 \(x\), which nobody makes",
    input_made: r"tensor 1 \(y\) is written by the caller and again by operator 0",
    constant_written: r"tensor 3 \(k\) is a constant, yet it is written",
    output_from_nowhere: "nobody makes graph output",
    unknown_operator: "unknown code 9999",
    nameless_custom: "custom operator without a name",
    variable_as_output: r"tensor 2 \(z\) is a variable and an input or output",
}


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_unsound_contents(spoil: Callable[[Tiny], None]) -> None:
    tiny = Tiny()
    x, y, z = tiny.tensor("x"), tiny.tensor("y"), tiny.tensor("z")
    k = tiny.tensor("k", data=np.array([1, 2, 3, 4], np.int8))
    tiny.add(x, k, y)
    tiny.relu(y, z)
    tiny.ends([x], [z])
    graph_from_bytes(tiny.build(), "sound")
    spoil(tiny)
    sentence = refusal(tiny.build())
    assert re.search(SPOILERS[spoil], sentence), sentence


def test_constants_in_other_files() -> None:
    tiny = Tiny()
    tiny.relu(tiny.tensor("x"), tiny.tensor("y"))
    tiny.model.externalBuffers = [schema.ExternalBufferT()]
    assert "other files" in refusal(tiny.ends([0], [1]).build())


# ----------------------------------------------------------------------------------- damage


@cache
def sources() -> tuple[bytes, ...]:
    return (tiny_chain(2), random_graph(2, 8), cut_of_detector())


@pytest.mark.parametrize("which", range(3))
def test_truncated_at_any_byte(which: int) -> None:
    data = sources()[which]
    step = max(1, len(data) // 400)
    for length in {*range(0, len(data), step), *range(len(data) - 200, len(data))}:
        if length >= 0:
            refusal(data[:length])


def test_real_model_truncated_in_the_files_attached_to_it() -> None:
    data = shared_model("mobilenet_v1_0.25_128_quant").read_bytes()
    for missing in (1, 21, 100, 5000, 21000):
        assert "truncated" in refusal(data[:-missing])


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), hits=st.integers(1, 12), which=st.integers(0, 2))
def test_corrupted_anywhere(seed: int, hits: int, which: int) -> None:
    """Damage is refused in one sentence or leaves a model that can still be cut and compiled."""
    stream = random.Random(seed)
    data = bytearray(sources()[which])
    # Half the hits at either end, where most of the structure is.
    for _ in range(hits):
        near = stream.randrange(min(len(data), 4000))
        place = near if stream.random() < 0.5 else len(data) - 1 - near
        data[place] = stream.choice([0, 255, stream.randrange(256), data[place] ^ 1])
    refused = None
    try:
        graph = graph_from_bytes(bytes(data), "bad.tflite")
        cut(graph, 0, len(graph))
        compile_graph(graph)
    except ModelError as error:
        refused = str(error)
    assert refused is None or (refused.endswith(".") and "\n" not in refused)


def test_list_of_a_billion_tables_is_refused_at_once() -> None:
    data = bytearray(tiny_chain(2))
    tree = schema.Model.GetRootAs(bytes(data), 0)
    count_at = tree._tab.Vector(tree._tab.Offset(8)) - 4  # length of the list of subgraphs
    data[count_at : count_at + 4] = (10**9).to_bytes(4, "little")
    assert "the list of SubGraphs lies at" in refusal(bytes(data))
