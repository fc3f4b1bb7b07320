"""Quantisation that operators cannot compute with is refused when a model is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from compiler import compile_graph, graph_from_bytes
from devices.errors import ModelError
from tests.compiler.mapping.test_support import options_of
from tests.tiny import FLOAT32, INT8, Tiny

TYPES = schema.TensorType
X, W, B, Y, Z = range(5)


def quantized(scale: list[float] | None, zero_point: list[int], axis: int = 0) -> Any:
    result = schema.QuantizationParametersT()
    result.scale = None if scale is None else np.array(scale, np.float32)
    result.zeroPoint = np.array(zero_point, np.int64)
    result.quantizedDimension = axis
    return result


def conv() -> Tiny:
    """x, convolved by w with b, is y, of which z is the softmax."""
    tiny = Tiny()
    x = tiny.tensor("x", (1, 4, 4, 4))
    w = tiny.tensor("w", (4, 1, 1, 4), data=np.ones((4, 1, 1, 4), np.int8))
    b = tiny.tensor("b", (4,), data=np.ones(4, np.int32), type_=TYPES.INT32)
    y, z = tiny.tensor("y", (1, 4, 4, 4)), tiny.tensor("z", (1, 4, 4, 4))
    tensors = tiny.graph.tensors
    tensors[w].quantization = quantized([0.5, 0.25, 0.5, 0.5], [0] * 4)
    tensors[b].quantization = quantized([0.25, 0.125, 0.25, 0.25], [0] * 4)
    tensors[z].quantization = quantized([1 / 256], [-128])
    tiny.operator("CONV_2D", [x, w, b], [y], options_of("Conv2D"), version=3)
    tiny.operator("SOFTMAX", [y], [z], options_of("Softmax", beta=1.0), version=2)
    return tiny.ends([x], [z])


def litert_takes(data: bytes) -> bool:
    try:
        interpreter = Interpreter(model_content=data)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError):
        return False
    return True


def test_the_sound_one() -> None:
    data = conv().build()
    assert compile_graph(graph_from_bytes(data, "m")).report.mapped_operators == 1
    assert litert_takes(data)


def scales(tensor: int, *values: float) -> Callable[[Tiny], None]:
    def spoil(tiny: Tiny) -> None:
        found = tiny.graph.tensors[tensor].quantization
        found.scale = np.array(values, np.float32)
        found.zeroPoint = np.resize(found.zeroPoint, len(values))

    return spoil


def quantization(tensor: int, *to: Any) -> Callable[[Tiny], None]:
    def spoil(tiny: Tiny) -> None:
        tiny.graph.tensors[tensor].quantization = quantized(*to) if to else None

    return spoil


def of_type(tensor: int, type_: int) -> Callable[[Tiny], None]:
    def spoil(tiny: Tiny) -> None:
        tiny.graph.tensors[tensor].type = type_

    return spoil


NAN, INF = float("nan"), float("inf")
REFUSED_BY_BOTH: list[tuple[Callable[[Tiny], None], str]] = [
    (scales(W, 0.5, 0.5, 0.5), r"tensor 1 \(w\) has 3 scales along axis 0 of \[4, 1, 1, 4\]"),
    (scales(X, 1e-40), r"tensor 0 \(x\) is quantised with scale 9.9"),
    (quantization(X), r"operator 0 \(CONV_2D\) .* tensor 'x' is int8 without scale"),
    (quantization(W), r"operator 0 \(CONV_2D\) .* weights 'w' are int8 without scale"),
    (quantization(W, [0.5] * 4, [0] * 4, 7), "quantised along axis 7, but has 4 dimensions"),
    (quantization(W, [0.5] * 4, [0]), "has 1 zero points for 4 scales"),
    (quantization(W, [0.5] * 4, [0, 0, 5, 0]), "int8 with a zero point, which must be 0"),
    (quantization(X, [0.5], [300]), r"int8 with zero point 300, which must be from -128 to 127"),
    (quantization(B, [0.25] * 4, [0, 0, 1, 0]), "int32 with zero point 1, which must be from 0"),
    (quantization(B, [0.25], [0]), "the bias 'b' has 1 scales and the weights 'w' 4"),
    (quantization(Z, [0.5], [0]), r"\(SOFTMAX\) .*'z' has scale 0.5 and zero point 0"),
    (scales(Y, 1e-6), "give a factor of 2.5e.05, which must be less than 256"),
    (of_type(W, TYPES.UINT8), "the weights 'w' are uint8, while its input 'x' is int8"),
    (of_type(B, FLOAT32), "the bias 'b' is float32, which must be int32"),
]


@pytest.mark.parametrize(("spoil", "words"), REFUSED_BY_BOTH, ids=[c[1] for c in REFUSED_BY_BOTH])
def test_what_litert_refuses_is_refused(spoil: Callable[[Tiny], None], words: str) -> None:
    tiny = conv()
    spoil(tiny)
    with pytest.raises(ModelError, match=rf"^m: .*{words}.*\.$"):
        graph_from_bytes(tiny.build(), "m")
    assert not litert_takes(tiny.build())


@pytest.mark.parametrize("scale", [0.0, -0.5, NAN, INF])
@pytest.mark.parametrize("tensor", [X, W, B, Y])
def test_a_scale_that_is_no_scale(tensor: int, scale: float) -> None:
    """LiteRT takes some of them in weights, and then computes nonsense."""
    tiny = conv()
    count = len(tiny.graph.tensors[tensor].quantization.scale)
    scales(tensor, *[0.5] * (count - 1), scale)(tiny)
    with pytest.raises(ModelError, match=r"is quantised with scale .*, which must be a positive"):
        graph_from_bytes(tiny.build(), "m")


def test_a_channel_of_zeros_may_have_scale_0() -> None:
    tiny = conv()
    weights = np.ones((4, 1, 1, 4), np.int8)
    weights[2] = 0
    tiny.model.buffers[tiny.graph.tensors[W].buffer].data = weights.reshape(-1).view(np.uint8)
    scales(W, 0.5, 0.5, 0, 0.5)(tiny)
    graph_from_bytes(tiny.build(), "m")
    assert litert_takes(tiny.build())


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
def test_arithmetic_without_scales_is_refused(kind: str) -> None:
    """LiteRT would abort."""
    tiny = Tiny()
    x, y = (tiny.tensor(name, scale=None) for name in "xy")
    tiny.operator(kind, [x, x], [y], options_of(kind.title()), version=2)
    with pytest.raises(ModelError, match=rf"\({kind}\) cannot compute: tensor 'x' is int8 without"):
        graph_from_bytes(tiny.ends([x], [y]).build(), "m")


def test_moved_values_keep_their_scale() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x", scale=0.5), tiny.tensor("y", (1, 8), scale=0.25)
    tiny.operator("CONCATENATION", [x, x], [y], options_of("Concatenation", axis=1), version=2)
    data = tiny.ends([x], [y]).build()
    with pytest.raises(ModelError, match=r"'x' and 'y' are quantised differently \(scale \(0.5,\)"):
        graph_from_bytes(data, "m")
    assert not litert_takes(data)


@pytest.mark.parametrize("narrow", [TYPES.UINT8, INT8])
def test_the_cell_of_an_old_lstm_makes_8_bits_of_16(narrow: int) -> None:
    """The one MUL whose result has another type than its factors."""
    tiny = Tiny()
    gate, state = (tiny.tensor(name, type_=TYPES.INT16, scale=2.0**-15) for name in ("g", "s"))
    y = tiny.tensor("y", type_=narrow, scale=2.0**-7)
    tiny.operator("MUL", [gate, state], [y], options_of("Mul"), version=2)
    data = tiny.ends([gate, state], [y]).build()
    graph_from_bytes(data, "m")
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.invoke()
    tiny.graph.tensors[y].type = FLOAT32
    with pytest.raises(ModelError, match=r"operator 0 \(MUL\) contradict .* 'y' float32"):
        graph_from_bytes(tiny.build(), "m")
