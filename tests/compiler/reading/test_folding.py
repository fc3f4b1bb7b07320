"""Sizes that a model computes from its own shapes become constants: LiteRT's are the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import CompileOptions, compile_file, compile_graph, cut, graph_from_bytes
from compiler.inspecting.describe import describe_bytes
from compiler.reasons import as_data
from devices.errors import ConfigError, ModelError
from devices.executable import executable_from_bytes
from tests.compiler.chain import assert_same, inputs_of, interpreter_of, run_chain, run_uncut
from tests.compiler.mapping.test_support import options_of
from tests.tiny import INT8, Tiny

INT32, INT64 = schema.TensorType.INT32, schema.TensorType.INT64
TYPES = {np.dtype(np.int32): INT32, np.dtype(np.int64): INT64}


def integers(*values: int, dtype: Any = np.int32) -> np.ndarray[Any, Any]:
    return np.array(values, dtype)


class Sizes(Tiny):
    """A model in which sizes are computed."""

    def whole(self, name: str, shape: Sequence[int], data: Any = None, type_: int = INT32) -> int:
        return self.tensor(name, shape, data=data, type_=type_, scale=None)

    def constant(self, name: str, data: np.ndarray[Any, Any]) -> int:
        return self.whole(name, data.shape, data, TYPES[data.dtype])

    def batch_of(self, x: int, rank: int) -> int:
        """SHAPE and STRIDED_SLICE, as converters write them for a batch that is left open."""
        shape, batch = self.whole("shape", (rank,)), self.whole("batch", ())
        ends = [self.constant(f"end{n}", integers(n)) for n in (0, 1, 1)]
        self.operator("SHAPE", [x], [shape], options_of("Shape", outType=INT32))
        shrunk = options_of("StridedSlice", shrinkAxisMask=1)
        self.operator("STRIDED_SLICE", [shape, *ends], [batch], shrunk)
        return batch


def open_batch() -> bytes:
    """What converters make of Flatten, with -1 as the batch in the signature."""
    tiny = Sizes()
    x, y = tiny.tensor("x", (1, 4, 4, 2)), tiny.tensor("y", (1, 4, 4, 2))
    flat, z = tiny.tensor("flat", (1, 32)), tiny.tensor("z", (1, 32))
    for place in (x, y):
        tiny.graph.tensors[place].shapeSignature = np.array([-1, 4, 4, 2], np.int32)
    tiny.relu(x, y)
    batch, minus = tiny.batch_of(y, 4), tiny.constant("minus", np.array(-1, np.int32))
    target = tiny.whole("target", (2,))
    tiny.operator("PACK", [batch, minus], [target], options_of("Pack", valuesCount=2))
    tiny.operator("RESHAPE", [y, target], [flat], options_of("Reshape"))
    tiny.relu(flat, z)
    return tiny.ends([x], [z]).build()


def test_a_reshape_to_sizes_of_the_file_is_mapped_and_cut(tmp_path: Path) -> None:
    data = open_batch()
    graph = graph_from_bytes(data, "m")
    assert [one.kind for one in graph.operators] == ["RELU", "RESHAPE", "RELU"]
    assert [one.file_index for one in graph.operators] == [0, 4, 5]
    inputs = inputs_of(data)
    expected = run_uncut(data, inputs)
    for cuts in ((), (1,), (2,), (1, 2)):
        assert_same(run_chain(graph, cuts, inputs), expected)
    compiled = compile_graph(graph)
    assert compiled.report.cpu_operators == 0
    (model,) = executable_from_bytes(compiled.data, Path("m")).models
    assert_same(run_uncut(model, inputs), expected)
    (tmp_path / "m.tflite").write_bytes(data)
    log = compile_file(tmp_path / "m.tflite").save(tmp_path)[0].with_suffix(".log").read_text()
    line = "Computed by the compiler: 3 operations #1 to #3 (SHAPE, STRIDED_SLICE, PACK)"
    assert line in log
    told = as_data(compiled.report)["computed_by_the_compiler"]
    assert [one["kind"] for one in told] == ["SHAPE", "STRIDED_SLICE", "PACK"]
    operators = describe_bytes(data, "m").main.operators
    places = [one.runs_on for one in operators]
    assert places == ["tpu", "compiler", "compiler", "compiler", "tpu", "tpu"]


def test_a_cut_cannot_be_at_what_the_compiler_computes(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(open_batch())
    with pytest.raises(ConfigError, match=r"#2.*computed by the compiler"):
        compile_file(tmp_path / "m.tflite", CompileOptions(cut_at=("#2",)))
    cut_there = compile_file(tmp_path / "m.tflite", CompileOptions(cut_at=("#4",)))
    assert [len(one.report.details) for one in cut_there.segments] == [1, 2]


def test_a_size_that_contradicts_the_file_is_refused() -> None:
    """LiteRT would give the RESHAPE the shape 1x8, whatever the file says."""
    tiny = Sizes()
    x, y = tiny.tensor("x", (1, 8)), tiny.tensor("y", (8, 1))
    shape = tiny.whole("shape", (2,))
    tiny.operator("SHAPE", [x], [shape], options_of("Shape", outType=INT32))
    tiny.operator("RESHAPE", [x, shape], [y], options_of("Reshape"))
    with pytest.raises(ModelError, match="'y' is 8x1 where 1x8 follows"):
        graph_from_bytes(tiny.ends([x], [y]).build(), "m")


CASES: list[tuple[str, list[Any], Any]] = [
    ("ADD", [integers(5, -7), integers(3)], options_of("Add")),
    ("SUB", [integers(5, 7), integers(3, 9)], options_of("Sub")),
    ("MUL", [integers(6, -5, dtype=np.int64), integers(7, 2, dtype=np.int64)], options_of("Mul")),
    ("FLOOR_DIV", [integers(7, -7, 9), integers(2, 2, -4)], options_of("FloorDiv")),
    ("FLOOR_MOD", [integers(7, -7, 9), integers(2, 2, -4)], options_of("FloorMod")),
    ("MAXIMUM", [integers(5, -7), integers(3)], options_of("MaximumMinimum")),
    ("MINIMUM", [integers(5, -7), integers(3)], options_of("MaximumMinimum")),
    ("REDUCE_PROD", [integers(3, 4, 5), integers(0)], options_of("Reducer")),
    ("REDUCE_PROD", [integers(3, 4, 5), integers(-1)], options_of("Reducer", keepDims=True)),
    ("REDUCE_MAX", [integers(3, 9, 5), integers(0)], options_of("Reducer")),
    ("REDUCE_MIN", [integers(3, 9, 5), integers(0)], options_of("Reducer")),
    ("SUM", [integers(3, 9, 5), integers(0)], options_of("Reducer")),
    ("CONCATENATION", [integers(1, 2), integers(3)], options_of("Concatenation")),
    ("EXPAND_DIMS", [integers(1, 2), integers(1)], options_of("ExpandDims")),
    ("GATHER", [integers(4, 5, 6), integers(2, 0)], options_of("Gather")),
    ("PACK", [integers(1, 2), integers(3, 4)], options_of("Pack", valuesCount=2, axis=1)),
    ("RESHAPE", [integers(1, 2, 3, 4), integers(2, -1)], options_of("Reshape")),
    ("SLICE", [integers(1, 2, 3, 4), integers(1), integers(-1)], options_of("Slice")),
    ("SQUEEZE", [np.array([[1], [2]], np.int32)], options_of("Squeeze")),
    ("CAST", [integers(1, 2)], options_of("Cast", inDataType=INT32, outDataType=INT64)),
]


def computed(kind: str, inputs: Sequence[np.ndarray[Any, Any]], options: Any) -> bytes:
    """``kind`` of constants, added to an input of the model so that something is left to run."""
    shape, dtype = _made(kind, inputs, options)
    tiny = Sizes()
    places = [tiny.constant(f"c{n}", value) for n, value in enumerate(inputs)]
    made = tiny.whole("made", shape, type_=TYPES[np.dtype(dtype)])
    x = tiny.whole("x", shape, type_=TYPES[np.dtype(dtype)])
    y = tiny.whole("y", shape, type_=TYPES[np.dtype(dtype)])
    tiny.operator(kind, places, [made], options)
    tiny.operator("SUB", [x, made], [y], schema.SubOptionsT())
    return tiny.ends([x], [y]).build()


def _made(
    kind: str, inputs: Sequence[np.ndarray[Any, Any]], options: Any
) -> tuple[tuple[int, ...], Any]:
    """Shape and type of the result, as LiteRT says."""
    tiny = Sizes()
    places = [tiny.constant(f"c{n}", value) for n, value in enumerate(inputs)]
    dtype = np.int64 if kind == "CAST" else inputs[0].dtype
    made = tiny.whole("made", (), type_=TYPES[np.dtype(dtype)])
    tiny.operator(kind, places, [made], options)
    interpreter = interpreter_of(tiny.ends([], [made]).build())
    interpreter.invoke()
    (detail,) = interpreter.get_output_details()
    return tuple(map(int, detail["shape"])), dtype


def assert_computed_as_by_litert(data: bytes) -> None:
    graph = graph_from_bytes(data, "m")
    assert [one.kind for one in graph.operators] == ["SUB"]
    inputs = inputs_of(data)
    assert_same(run_uncut(cut(graph, 0, 1), inputs), run_uncut(data, inputs))


@pytest.mark.parametrize(("kind", "inputs", "options"), CASES)
def test_values_are_those_of_litert(
    kind: str, inputs: list[np.ndarray[Any, Any]], options: Any
) -> None:
    assert_computed_as_by_litert(computed(kind, inputs, options))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=5),
    st.tuples(*[st.integers(-6, 6)] * 2),
    st.sampled_from((-2, -1, 1, 2)),
    st.integers(0, 1),
    st.integers(0, 1),
)
def test_slices_are_those_of_litert(
    values: list[int], ends: tuple[int, int], step: int, begin_mask: int, end_mask: int
) -> None:
    options = options_of("StridedSlice", beginMask=begin_mask, endMask=end_mask)
    inputs = [integers(*values), integers(ends[0]), integers(ends[1]), integers(step)]
    shape, _ = _made("STRIDED_SLICE", inputs, options)
    if 0 not in shape:
        assert_computed_as_by_litert(computed("STRIDED_SLICE", inputs, options))


def test_sizes_that_are_unpacked() -> None:
    """As TensorFlow writes ``height, width = tf.unstack(tf.shape(x))[1:3]``."""
    tiny = Sizes()
    x, y = tiny.tensor("x", (1, 4, 6, 2)), tiny.tensor("y", (1, 24, 2))
    shape = tiny.whole("shape", (4,))
    sizes = [tiny.whole(name, ()) for name in ("n", "h", "w", "c")]
    area, target = tiny.whole("area", ()), tiny.whole("target", (3,))
    tiny.operator("SHAPE", [x], [shape], options_of("Shape", outType=INT32))
    tiny.operator("UNPACK", [shape], sizes, options_of("Unpack", num=4))
    tiny.operator("MUL", sizes[1:3], [area], options_of("Mul"))
    packed = [sizes[0], area, sizes[3]]
    tiny.operator("PACK", packed, [target], options_of("Pack", valuesCount=3))
    tiny.operator("RESHAPE", [x, target], [y], options_of("Reshape"))
    data = tiny.ends([x], [y]).build()
    graph = graph_from_bytes(data, "m")
    assert [one.kind for one in graph.operators] == ["RESHAPE"]
    inputs = inputs_of(data)
    assert_same(run_uncut(cut(graph, 0, 1), inputs), run_uncut(data, inputs))


LEFT: list[tuple[str, list[Any], Any]] = [
    ("FLOOR_DIV", [integers(7), integers(0)], options_of("FloorDiv")),
    ("MUL", [integers(1 << 20), integers(1 << 20)], options_of("Mul")),
    ("ADD", [integers(3), integers(4)], options_of("Add", fusedActivationFunction=1)),
    ("GATHER", [integers(4, 5), integers(7)], options_of("Gather")),
]


@pytest.mark.parametrize(("kind", "inputs", "options"), LEFT)
def test_what_is_not_certain_is_left_to_litert(
    kind: str, inputs: list[np.ndarray[Any, Any]], options: Any
) -> None:
    tiny = Sizes()
    places = [tiny.constant(f"c{n}", value) for n, value in enumerate(inputs)]
    made, x, y = (tiny.whole(name, (1,)) for name in ("made", "x", "y"))
    tiny.operator(kind, places, [made], options)
    tiny.operator("SUB", [x, made], [y], schema.SubOptionsT())
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m")
    assert [one.kind for one in graph.operators] == [kind, "SUB"]


def test_what_the_model_hands_out_stays_computed() -> None:
    tiny = Sizes()
    x, shape = tiny.tensor("x", (1, 8), type_=INT8), tiny.whole("shape", (2,))
    y = tiny.tensor("y", (1, 8))
    tiny.operator("SHAPE", [x], [shape], options_of("Shape", outType=INT32))
    tiny.relu(x, y)
    data = tiny.ends([x], [y, shape]).build()
    graph = graph_from_bytes(data, "m")
    assert len(graph) == 2
    inputs = inputs_of(data)
    assert_same(run_chain(graph, (1,), inputs), run_uncut(data, inputs))
