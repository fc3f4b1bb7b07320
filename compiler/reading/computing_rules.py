"""The shapes of what computing operators give: elementwise, convolutions, pools, reductions.

They are those LiteRT works out when it prepares a model (its ``kernels``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import tflite

from compiler.reading.operands import ContradictionError, Inputs, Rule, Shape, shown


def _same(inputs: Inputs) -> Sequence[Shape]:
    return (inputs.shape(0),)


def _broadcast(inputs: Inputs) -> Sequence[Shape]:
    a, b = inputs.shape(0), inputs.shape(1)
    rank = max(len(a), len(b))
    longer = [(1,) * (rank - len(shape)) + shape for shape in (a, b)]
    for one, other in zip(*longer, strict=True):
        if one != other and 1 not in (one, other):
            raise ContradictionError(
                f"{inputs.named(0)} and {inputs.named(1)}, neither of which can be stretched to "
                "the other"
            )
    return (tuple(b if a == 1 else a for a, b in zip(*longer, strict=True)),)


def _window(inputs: Inputs, size: int, kernel: int, stride: int, dilation: int = 1) -> int:
    padding = inputs.option("padding")
    if padding == int(tflite.Padding.SAME):
        return -(-size // stride)
    if padding != int(tflite.Padding.VALID):
        raise ContradictionError(f"option padding is {padding} and must be SAME or VALID")
    places = (size + stride - ((kernel - 1) * dilation + 1)) // stride
    if places < 1:
        raise ContradictionError(f"{inputs.named(0)}, smaller than a window of {kernel}")
    return places


def _strides(inputs: Inputs) -> tuple[int, int]:
    return inputs.positive("strideH"), inputs.positive("strideW")


def _convolved(inputs: Inputs, channels: int) -> Sequence[Shape]:
    x, kernel = inputs.shape(0), inputs.shape(1)
    _check_bias(inputs, 2, channels)
    factors = inputs.positive("dilationHFactor"), inputs.positive("dilationWFactor")
    places = (
        _window(inputs, size, window, stride, factor)
        for size, window, stride, factor in zip(
            x[1:3], kernel[1:3], _strides(inputs), factors, strict=True
        )
    )
    return ((x[0], *places, channels),)


def _check_bias(inputs: Inputs, place: int, channels: int) -> None:
    bias = inputs.optional(place)
    if bias is not None and bias.elements != channels:
        raise ContradictionError(f"{inputs.named(place)}, for {channels} channels")


def _conv(inputs: Inputs) -> Sequence[Shape]:
    x, weights = inputs.ranked(0, 4), inputs.ranked(1, 4)
    groups = x[3] // weights[3] if weights[3] else 0
    if not groups or x[3] % weights[3] or weights[0] % groups:
        raise ContradictionError(
            f"{inputs.named(0)} with {x[3]} channels and {inputs.named(1)} for {weights[3]}"
        )
    return _convolved(inputs, weights[0])


def _depthwise(inputs: Inputs) -> Sequence[Shape]:
    x, weights = inputs.ranked(0, 4), inputs.ranked(1, 4)
    each = inputs.option("depthMultiplier") or weights[3] // max(1, x[3])
    if weights[0] != 1 or weights[3] != x[3] * each:
        raise ContradictionError(
            f"{inputs.named(0)} with {x[3]} channels, {each} results for each, and "
            f"{inputs.named(1)}"
        )
    return _convolved(inputs, weights[3])


def _fully_connected(inputs: Inputs) -> Sequence[Shape] | None:
    x, weights = inputs.shape(0), inputs.ranked(1, 2)
    units, depth = weights
    if inputs.option("weightsFormat"):
        return None
    keeps = bool(inputs.option("keepNumDims"))
    rest = x[-1] if keeps and x else prod(x)
    if not depth or rest % depth or (keeps and rest != depth):
        raise ContradictionError(
            f"{inputs.named(0)} and {inputs.named(1)}, for {depth} values at a time"
        )
    _check_bias(inputs, 2, units)
    return ((*x[:-1], units) if keeps else (prod(x) // depth, units),)


def _transpose_conv(inputs: Inputs) -> Sequence[Shape] | None:
    target, weights, x = inputs.constant(0), inputs.ranked(1, 4), inputs.ranked(2, 4)
    _check_bias(inputs, 3, weights[0])
    if target is None:
        return None
    if len(target) != 4 or target[0] != x[0] or target[3] != weights[0] or x[3] != weights[3]:
        raise ContradictionError(
            f"{inputs.named(2)}, {inputs.named(1)} and the result {shown(target)}"
        )
    for size, out, kernel, stride in zip(
        x[1:3], target[1:3], weights[1:3], _strides(inputs), strict=True
    ):
        if _window(inputs, out, kernel, stride) != size:
            raise ContradictionError(f"{inputs.named(2)} and the result {shown(target)}")
    return (target,)


_LARGEST_WINDOW = 65_536
"""Of a pool, along either side: LiteRT's limit."""


def _pool(inputs: Inputs) -> Sequence[Shape]:
    x = inputs.ranked(0, 4)
    kernel = inputs.positive("filterHeight"), inputs.positive("filterWidth")
    if max(kernel) > _LARGEST_WINDOW:
        raise ContradictionError(f"a window of {shown(kernel)}, at most {_LARGEST_WINDOW} long")
    places = (
        _window(inputs, size, window, stride)
        for size, window, stride in zip(x[1:3], kernel, _strides(inputs), strict=True)
    )
    return ((x[0], *places, x[3]),)


def _reduction(inputs: Inputs) -> Sequence[Shape] | None:
    x, values = inputs.shape(0), inputs.constant(1)
    if values is None:
        return None
    axes = {inputs.axis(axis, len(x)) for axis in values}
    if inputs.option("keepDims"):
        return (tuple(1 if i in axes else n for i, n in enumerate(x)),)
    return (tuple(n for i, n in enumerate(x) if i not in axes),)


def _arg(inputs: Inputs) -> Sequence[Shape] | None:
    x, values = inputs.shape(0), inputs.constant(1)
    if values is None or len(values) != 1:
        return None
    axis = inputs.axis(values[0], len(x))
    return (x[:axis] + x[axis + 1 :],)


def _resize(inputs: Inputs) -> Sequence[Shape] | None:
    x, size = inputs.ranked(0, 4), inputs.constant(1)
    if size is None:
        return None
    if len(size) != 2 or min(size) < 1:
        raise ContradictionError(f"the size is {list(size)}, a height and a width are needed")
    return ((x[0], *size, x[3]),)


_ELEMENTWISE = (
    *("ABS", "CAST", "CEIL", "COS", "DEQUANTIZE", "ELU", "EXP", "FAKE_QUANT", "FLOOR", "GELU"),
    *("HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOCAL_RESPONSE_NORMALIZATION", "LOG"),
    *("LOGICAL_NOT", "LOGISTIC", "LOG_SOFTMAX", "NEG", "QUANTIZE", "RELU", "RELU6"),
    *("RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIGN", "SIN", "SOFTMAX", "SQRT"),
    *("SQUARE", "TANH", "ZEROS_LIKE"),
)
_BROADCASTING = (
    *("ADD", "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GREATER", "GREATER_EQUAL", "LESS"),
    *("LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "MAXIMUM", "MINIMUM", "MUL", "NOT_EQUAL", "POW"),
    *("PRELU", "SQUARED_DIFFERENCE", "SUB"),
)
COMPUTING: Mapping[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE, _same),
    **dict.fromkeys(_BROADCASTING, _broadcast),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _pool),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"), _reduction),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), _arg),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _resize),
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
}
