"""Shapes that follow from an operator's inputs: LiteRT's are the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import graph_from_bytes
from devices.errors import ModelError
from tests.compiler.mapping.test_support import Numbers, ints, options_of
from tests.tiny import FLOAT32, INT8, Tiny
from zoo.random_graph import random_graph

Case = tuple[str, list[Any], Any, int]
IMAGE = (1, 6, 8, 4)


def one_operator(
    kind: str,
    inputs: Sequence[Any],
    outputs: Sequence[Sequence[int]],
    options: Any = None,
    version: int = 1,
    type_: int = FLOAT32,
) -> bytes:
    """A model of one operator; arrays are constants, tuples shapes of what is handed in."""
    tiny = Tiny()
    scale = 0.5 if type_ == INT8 else None
    places, given_in = [], []
    for n, found in enumerate(inputs):
        if isinstance(found, np.ndarray):
            kinds = {"int32": schema.TensorType.INT32, "float32": FLOAT32, "int8": INT8}
            constant_type = kinds[found.dtype.name]
            places.append(
                tiny.tensor(
                    f"c{n}",
                    found.shape,
                    data=found,
                    type_=constant_type,
                    scale=scale if found.dtype == np.int8 else None,
                )
            )
        else:
            numbers = isinstance(found, Numbers)
            kind_of_data = schema.TensorType.INT32 if numbers else type_
            scale_of_data = None if numbers else scale
            places.append(tiny.tensor(f"x{n}", found, type_=kind_of_data, scale=scale_of_data))
            given_in.append(places[-1])
    made = [tiny.tensor(f"y{n}", s, type_=type_, scale=scale) for n, s in enumerate(outputs)]
    tiny.operator(kind, places, made, options, version=version)
    return tiny.ends(given_in, made).build()


def shapes_of_litert(data: bytes) -> list[tuple[int, ...]] | None:
    """What LiteRT makes of the outputs' shapes; ``None`` where it refuses the model."""
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    try:
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError):
        return None
    return [tuple(map(int, d["shape"])) for d in interpreter.get_output_details()]


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return np.zeros(shape, np.float32)


WINDOW = {"strideH": 2, "strideW": 3}
SOUND: list[tuple[str, list[Any], Any, int]] = [
    ("ADD", [IMAGE, (8, 1)], options_of("Add"), 1),
    ("SUB", [(4,), IMAGE], options_of("Sub"), 1),
    ("RELU", [IMAGE], None, 1),
    ("CONV_2D", [IMAGE, floats(5, 3, 2, 4), floats(5)], options_of("Conv2D", **WINDOW), 1),
    ("CONV_2D", [IMAGE, floats(5, 3, 2, 4), floats(5)], options_of("Conv2D", padding=1), 1),
    (
        "CONV_2D",
        [IMAGE, floats(2, 3, 2, 4), floats(2)],
        options_of("Conv2D", padding=1, dilationHFactor=2, dilationWFactor=2),
        1,
    ),
    (
        "DEPTHWISE_CONV_2D",
        [IMAGE, floats(1, 3, 3, 8)],
        options_of("DepthwiseConv2D", depthMultiplier=2, **WINDOW),
        1,
    ),
    ("FULLY_CONNECTED", [(3, 2, 4), floats(5, 4)], options_of("FullyConnected"), 1),
    ("FULLY_CONNECTED", [(3, 2, 4), floats(5, 8)], options_of("FullyConnected"), 1),
    (
        "FULLY_CONNECTED",
        [(3, 2, 4), floats(5, 4)],
        options_of("FullyConnected", keepNumDims=True),
        5,
    ),
    (
        "TRANSPOSE_CONV",
        [ints(1, 12, 16, 5), floats(5, 3, 3, 4), IMAGE],
        options_of("TransposeConv", strideH=2, strideW=2),
        1,
    ),
    (
        "MAX_POOL_2D",
        [IMAGE],
        options_of("Pool2D", filterHeight=3, filterWidth=2, padding=1, **WINDOW),
        1,
    ),
    ("MEAN", [IMAGE, ints(1, -2)], options_of("Reducer"), 1),
    ("SUM", [IMAGE, ints(3)], options_of("Reducer", keepDims=True), 1),
    ("RESIZE_BILINEAR", [IMAGE, ints(5, 7)], options_of("ResizeBilinear"), 1),
    ("CONCATENATION", [IMAGE, (1, 6, 8, 3)], options_of("Concatenation", axis=-1), 1),
    ("RESHAPE", [IMAGE, ints(2, -1, 8)], options_of("Reshape"), 1),
    ("SQUEEZE", [(1, 3, 1, 4)], options_of("Squeeze", squeezeDims=[0]), 1),
    ("SQUEEZE", [(1, 3, 1, 4)], options_of("Squeeze"), 1),
    ("EXPAND_DIMS", [(3, 4), ints(-1)], options_of("ExpandDims"), 1),
    ("PACK", [(3, 4), (3, 4)], options_of("Pack", axis=1, valuesCount=2), 1),
    ("UNPACK", [(3, 4)], options_of("Unpack", axis=0, num=3), 1),
    ("PAD", [(3, 4), np.array([[1, 0], [2, 3]], np.int32)], options_of("Pad"), 1),
    ("TRANSPOSE", [IMAGE, ints(0, 3, 1, 2)], options_of("Transpose"), 1),
    ("TILE", [(3, 4), ints(2, 3)], options_of("Tile"), 1),
    ("SPLIT", [ints(2), IMAGE], options_of("Split", numSplits=4), 1),
    ("SPLIT_V", [IMAGE, ints(3, -1), ints(2)], options_of("SplitV", numSplits=2), 1),
    ("SLICE", [IMAGE, ints(0, 1, 2, 3), ints(1, 4, -1, 1)], options_of("Slice"), 1),
    (
        "STRIDED_SLICE",
        [IMAGE, ints(0, 5, 1, 0), ints(1, 0, 8, 2), ints(1, -2, 3, 1)],
        options_of("StridedSlice", beginMask=8, endMask=1),
        1,
    ),
    (
        "STRIDED_SLICE",
        [IMAGE, ints(0, -1), ints(1, 0), ints(1, 1)],
        options_of("StridedSlice", shrinkAxisMask=2),
        1,
    ),
    ("SPACE_TO_DEPTH", [IMAGE], options_of("SpaceToDepth", blockSize=2), 1),
    ("DEPTH_TO_SPACE", [IMAGE], options_of("DepthToSpace", blockSize=2), 1),
]


def results(kind: str, options: Any) -> int:
    counts = {"UNPACK": "num", "SPLIT": "numSplits", "SPLIT_V": "numSplits"}
    return getattr(options, counts[kind]) if kind in counts else 1


@pytest.mark.parametrize("case", SOUND, ids=[f"{c[0]}-{i}" for i, c in enumerate(SOUND)])
def test_a_shape_left_out_is_the_one_litert_finds(case: Case) -> None:
    """And any other shape in its place is refused."""
    kind, inputs, options, version = case
    count = results(kind, options)
    without = one_operator(kind, inputs, [()] * count, options, version)
    graph = graph_from_bytes(without, "m")
    found = [graph.tensors[t].shape for t in graph.outputs]
    assert found == shapes_of_litert(without)
    graph_from_bytes(one_operator(kind, inputs, found, options, version), "m")
    wrong = [(*shape[:-1], shape[-1] + 1) for shape in found]
    with pytest.raises(ModelError, match=rf"operator 0 \({kind}\) contradict each other: 'y0' is"):
        graph_from_bytes(one_operator(kind, inputs, wrong, options, version), "m")


CONTRADICTIONS: list[tuple[str, list[Any], Any, int, str]] = [
    ("ADD", [IMAGE, (3,)], options_of("Add"), 1, "'x0' is 1x6x8x4 and 'x1' is 3, neither"),
    ("CONV_2D", [IMAGE, floats(5, 1, 1, 3)], options_of("Conv2D"), 1, "4 channels .* for 3"),
    ("CONV_2D", [IMAGE, floats(5, 1, 1, 4), floats(4)], options_of("Conv2D"), 1, "5 channels"),
    ("CONV_2D", [IMAGE, floats(5, 1, 1, 4)], options_of("Conv2D", strideW=0), 1, "strideW is 0"),
    ("FULLY_CONNECTED", [(1, 7), floats(5, 4)], options_of("FullyConnected"), 1, "for 4 values"),
    ("CONCATENATION", [IMAGE, (1, 5, 8, 4)], options_of("Concatenation", axis=3), 1, "axis 3"),
    ("CONCATENATION", [IMAGE, IMAGE], options_of("Concatenation", axis=4), 1, "axis 4 is not"),
    ("SPLIT", [ints(9, 0), IMAGE], options_of("Split", numSplits=1), 1, "axis 9 is not one of 4"),
    ("MAX_POOL_2D", [IMAGE], options_of("Pool2D", filterWidth=65_537), 2, "at most 65536 long"),
    (
        "CONCATENATION",
        [IMAGE, IMAGE],
        options_of("Concatenation", fusedActivationFunction=1),
        1,
        "fused activation",
    ),
    ("RESHAPE", [IMAGE, ints(1, 191)], options_of("Reshape"), 1, r"192 elements.*\[1, 191\]"),
    ("RESHAPE", [IMAGE, ints(-1, -1)], options_of("Reshape"), 1, r"cannot become \[-1, -1\]"),
    ("SQUEEZE", [(3, 4)], options_of("Squeeze", squeezeDims=[0]), 1, "not all 1"),
    ("TRANSPOSE", [(3, 4), ints(0, 0)], options_of("Transpose"), 1, r"ordered \[0, 0\]"),
    ("SPLIT", [ints(3), IMAGE], options_of("Split", numSplits=3), 1, "split into 3 along axis 3"),
    ("SLICE", [(3, 4), ints(0, 2), ints(1, 3)], options_of("Slice"), 1, r"from \[0, 2\]"),
    ("PAD", [(3, 4), ints(1, 1)], options_of("Pad"), 1, r"padded by \[1, 1\]"),
    ("MEAN", [IMAGE, ints(4)], options_of("Reducer"), 1, "axis 4 is not one of 4 dimensions"),
    (
        "MEAN",
        [IMAGE, floats(1)],
        options_of("Reducer"),
        1,
        "'c1' is float32, where int32 is needed",
    ),
]


@pytest.mark.parametrize("case", CONTRADICTIONS, ids=[f"{c[0]}-{c[4]}" for c in CONTRADICTIONS])
def test_contradictions_are_refused(case: tuple[Any, ...]) -> None:
    kind, inputs, options, version, words = case
    data = one_operator(kind, inputs, [()] * results(kind, options), options, version)
    with pytest.raises(ModelError, match=rf"^m: .*operator 0 \({kind}\).*{words}.*\.$"):
        graph_from_bytes(data, "m")
    if kind not in ("FULLY_CONNECTED", "TRANSPOSE") and getattr(options, "strideW", 1):
        # For those two LiteRT makes up what does not fit; by strides it divides.
        assert shapes_of_litert(data) is None


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_the_zoo_builds_has_the_shapes_that_follow(seed: int) -> None:
    graph_from_bytes(random_graph(seed, 12), "m")


def test_a_target_computed_at_run_time_is_not_judged() -> None:
    data = one_operator("RESHAPE", [IMAGE, Numbers([2])], [(1, 192)], options_of("Reshape"))
    graph_from_bytes(data, "m")
