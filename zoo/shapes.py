"""Output shapes and option fields of operators, from their definitions alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from ai_edge_litert import schema_py_generated as schema

from zoo.quantization import Range

Activation = Literal["none", "relu", "relu6"]
Padding = Literal["same", "valid"]

UNBOUNDED = Range(-math.inf, math.inf)
ACTIVATION_RANGE: Mapping[Activation, Range] = {
    "none": UNBOUNDED,
    "relu": Range(0.0, math.inf),
    "relu6": Range(0.0, 6.0),
}
ACTIVATION_CODE: Mapping[Activation, int] = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
PADDING_CODE: Mapping[Padding, int] = {
    "same": schema.Padding.SAME,
    "valid": schema.Padding.VALID,
}


def window_shape(
    name: str,
    shape: Sequence[int],
    window: tuple[int, int],
    stride: int,
    padding: Padding,
    channels: int,
) -> tuple[int, int, int, int]:
    """What a window of (height, width) moved by ``stride`` over ``shape`` leaves.

    Raises :class:`ValueError` naming the operator when the window does not fit.
    """
    if len(shape) != 4:
        raise ValueError(f"{name}: a window needs (1, height, width, channels), not {shape}")
    sizes = []
    for size, extent in zip(shape[1:3], window, strict=True):
        out = -(-size // stride) if padding == "same" else (size - extent) // stride + 1
        if out < 1:
            raise ValueError(f"{name}: a window of {window} does not fit into {shape}")
        sizes.append(out)
    return (shape[0], sizes[0], sizes[1], channels)


def enlarged_shape(shape: Sequence[int], stride: int, channels: int) -> tuple[int, int, int, int]:
    """What a transposed convolution with padding "same" makes of (1, height, width, ...)."""
    return (shape[0], shape[1] * stride, shape[2] * stride, channels)


def window_options(stride: int, padding: Padding, activation: Activation) -> dict[str, int]:
    """The option fields all operators with a window have."""
    return {
        "padding": PADDING_CODE[padding],
        "strideH": stride,
        "strideW": stride,
        "fusedActivationFunction": ACTIVATION_CODE[activation],
    }


def broadcast_shape(name: str, a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    """The shape of an elementwise result; axes of length 1 stretch."""
    fits = len(a) == len(b) and all(p == q or 1 in (p, q) for p, q in zip(a, b, strict=True))
    if not fits:
        raise ValueError(f"{name}: shapes {a} and {b} do not go together")
    return tuple(max(p, q) for p, q in zip(a, b, strict=True))


def joined_shape(name: str, shapes: Sequence[Sequence[int]], axis: int) -> tuple[int, ...]:
    """The shape of ``shapes`` put one after the other along ``axis`` (not negative)."""
    rests = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rests) != 1:
        raise ValueError(f"{name}: shapes {[*shapes]} differ off axis {axis}")
    total = sum(shape[axis] for shape in shapes)
    return (*shapes[0][:axis], total, *shapes[0][axis + 1 :])
