"""Which types go together, and what may be left out: LiteRT's kernels are the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from compiler import graph_from_bytes
from devices.errors import ModelError
from tests.compiler.mapping.test_support import BIAS, FILTER, options_of
from tests.tiny import INT8, Tiny

TYPES = {name: getattr(schema.TensorType, name.upper()) for name in (
    "float32", "int8", "uint8", "int16", "int32", "int64"
)}  # fmt: skip
IMAGE = (1, 4, 4, 4)


def litert_takes(data: bytes) -> bool:
    resolver = OpResolverType.BUILTIN
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=resolver)
    try:
        interpreter.allocate_tensors()
    except RuntimeError:
        return False
    return True


def is_read(data: bytes) -> bool:
    try:
        graph_from_bytes(data, "m")
    except ModelError:
        return False
    return True


def quantized(data: str, result: str) -> bytes:
    tiny = Tiny()
    x = tiny.tensor("x", type_=TYPES[data], scale=None if data == "float32" else 0.5)
    y = tiny.tensor("y", type_=TYPES[result])
    tiny.operator("QUANTIZE", [x], [y], options_of("Quantize"), version=2)
    return tiny.ends([x], [y]).build()


@pytest.mark.parametrize("data", [name for name in TYPES if name != "int64"])
def test_quantize_makes_what_litert_makes(data: str) -> None:
    models = [quantized(data, result) for result in TYPES]
    assert [is_read(one) for one in models] == [litert_takes(one) for one in models]


NUMBERS: list[tuple[str, Sequence[Any], Sequence[int], str]] = [
    ("MEAN", [IMAGE, "(1,)"], (1, 4, 4), "Reducer"),
    ("REDUCE_MAX", [IMAGE, "(1,)"], (1, 4, 4), "Reducer"),
    ("RESIZE_BILINEAR", [IMAGE, "(2,)"], IMAGE, "ResizeBilinear"),
    ("TILE", [IMAGE, "(4,)"], IMAGE, "Tile"),
    ("SLICE", [IMAGE, "(4,)", "(4,)"], IMAGE, "Slice"),
    ("STRIDED_SLICE", [IMAGE, "(4,)", "(4,)", "(4,)"], IMAGE, "StridedSlice"),
]


def with_numbers(kind: str, read: Sequence[Any], made: Any, options: str, dtype: str) -> bytes:
    tiny = Tiny()
    places = []
    for n, shape in enumerate(read):
        if isinstance(shape, str):
            sizes = tuple(int(one) for one in shape.strip("()").split(",") if one)
            places.append(tiny.tensor(f"n{n}", sizes, type_=TYPES[dtype], scale=None))
        else:
            places.append(tiny.tensor(f"x{n}", shape, type_=INT8))
    y = tiny.tensor("y", made)
    tiny.operator(kind, places, [y], options_of(options), version=2)
    return tiny.ends(places, [y]).build()


@pytest.mark.parametrize(("kind", "read", "made", "options"), NUMBERS)
def test_axes_and_sizes_have_the_types_that_litert_reads(
    kind: str, read: Sequence[Any], made: Sequence[int], options: str
) -> None:
    models = [with_numbers(kind, read, made, options, dtype) for dtype in TYPES]
    taken = [is_read(one) for one in models]
    assert taken == [litert_takes(one) for one in models]
    assert any(taken)


@pytest.mark.parametrize(
    ("kind", "options"), [("CONV_2D", "Conv2D"), ("DEPTHWISE_CONV_2D", "DepthwiseConv2D")]
)
def test_a_bias_is_there_or_not_named(kind: str, options: str) -> None:
    """-1 in its place, which FULLY_CONNECTED takes, is refused; CONV_2D needs one."""
    filters = FILTER if kind == "CONV_2D" else FILTER[:1]
    found = []
    for bias in ("there", "not named", "left out"):
        tiny = Tiny()
        x, y = tiny.tensor("x", IMAGE), tiny.tensor("y", (1, 2, 2, 4))
        inputs = [x, tiny.tensor("w", filters.shape, data=filters)]
        if bias == "there":
            inputs.append(tiny.tensor("b", (4,), data=BIAS, type_=TYPES["int32"], scale=0.25))
        elif bias == "left out":
            inputs.append(-1)
        extra = {"depthMultiplier": 1} if kind == "DEPTHWISE_CONV_2D" else {}
        tiny.operator(
            kind,
            inputs,
            [y],
            options_of(options, padding=1, dilationHFactor=1, dilationWFactor=1, **extra),
            version=3,
        )
        data = tiny.ends([x], [y]).build()
        assert is_read(data) == litert_takes(data)
        found.append(is_read(data))
    assert found == [True, kind != "CONV_2D", False]


def test_a_transposed_convolution_without_bias() -> None:
    """Its bias may be named as left out, which other convolutions refuse."""
    tiny = Tiny()
    size = tiny.tensor(
        "size", (4,), data=np.array([1, 8, 8, 4], np.int32), type_=TYPES["int32"], scale=None
    )
    x, y = tiny.tensor("x", IMAGE), tiny.tensor("y", (1, 8, 8, 4))
    w = tiny.tensor("w", (4, 2, 2, 4), data=np.ones((4, 2, 2, 4), np.int8))
    options = options_of("TransposeConv", strideH=2, strideW=2)
    tiny.operator("TRANSPOSE_CONV", [size, w, x, -1], [y], options, version=3)
    data = tiny.ends([x], [y]).build()
    assert litert_takes(data)
    assert is_read(data)


def test_weights_in_a_format_that_is_none() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    w = tiny.tensor("w", (4, 4), data=FILTER[0, 0, 0:1].repeat(4, 0))
    options = options_of("FullyConnected", weightsFormat=2)
    tiny.operator("FULLY_CONNECTED", [x, w], [y], options)
    with pytest.raises(ModelError, match="option weightsFormat is 2, which is no format"):
        graph_from_bytes(tiny.ends([x], [y]).build(), "m")


def test_an_option_that_is_no_type() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x", IMAGE), tiny.tensor("y", (1, 2, 2, 4))
    w, b = (
        tiny.tensor("w", FILTER.shape, data=FILTER),
        tiny.tensor("b", (4,), data=BIAS, type_=TYPES["int32"]),
    )
    options = options_of("Conv2D", padding=1, quantizedBiasType=127)
    tiny.operator("CONV_2D", [x, w, b], [y], options)
    with pytest.raises(ModelError, match="option quantizedBiasType is 127, which is no type"):
        graph_from_bytes(tiny.ends([x], [y]).build(), "m")


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
def test_scales_too_far_apart_to_add(kind: str) -> None:
    """LiteRT is not asked, for it dies of the second."""
    for factor, taken in ((2.0**18, True), (2.0**19, False)):
        tiny = Tiny()
        a, b = tiny.tensor("a", scale=0.5), tiny.tensor("b", scale=0.5 * factor)
        y = tiny.tensor("y", scale=0.5)
        tiny.operator(kind, [a, b], [y], options_of(kind.title()), version=2)
        data = tiny.ends([a, b], [y]).build()
        assert is_read(data) is taken
        assert not taken or litert_takes(data)


def test_names_end_at_their_first_nul() -> None:
    """As LiteRT reads them, so that values find their way from one model to the next."""
    tiny = Tiny()
    a, b = tiny.tensor("a\0b"), tiny.tensor("c\0")
    tiny.relu(a, b)
    graph = graph_from_bytes(tiny.ends([a], [b]).build(), "m")
    assert [tensor.name for tensor in graph.tensors] == ["a", "c"]
