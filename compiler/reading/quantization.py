"""Whether the quantisation of tensors makes sense, and whether operators can compute with it.

LiteRT refuses a model in which it does not, or dies of it, when it prepares the model: what is
asked for here are its own conditions (``interpreter_builder``, the ``kernels``, and XNNPACK's).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np

from compiler.graph import NO_TENSOR, Operator, Tensor
from compiler.reading.refusal import unsound

_SMALLEST_SCALE = 2.0**-126
"""Of float32, smaller ones lose precision; XNNPACK takes none of them."""

_LARGEST_FACTOR = 256.0
"""From products of input and weight to the output: XNNPACK's limit for convolutions."""

_ZERO_POINTS = {"int8": (-128, 127), "uint8": (0, 255)}
"""Of the types of activations; wider integers have zero point 0."""

_WIDE = frozenset({"int16", "int32", "int64"})
_WEIGHTS: dict[str, tuple[int, int, int, int]] = {
    "CONV_2D": (0, 1, 2, 0),
    "DEPTHWISE_CONV_2D": (0, 1, 2, 3),
    "FULLY_CONNECTED": (0, 1, 2, 0),
    "TRANSPOSE_CONV": (2, 1, 3, 0),
}
"""Where operators with weights have their data, their weights and their bias, and along which axis
the weights lie in channels."""

_NEEDS_BIAS = frozenset({"CONV_2D"})
"""Operators with weights that LiteRT's kernels refuse without a bias, where data are 8 bits."""

_LARGEST_SUM = 2.0**19
"""From the larger scale of what ADD and SUB read to that of the result: LiteRT dies above it."""

_NEEDS_SCALES = frozenset(
    {"ADD", "L2_NORMALIZATION", "LOGISTIC", "QUANTIZE", "SOFTMAX", "SUB"},
)
"""Operators that compute with what 8 bits stand for, so that they need to know."""

_FIXED: dict[str, tuple[float, dict[str, int]]] = {
    "LOGISTIC": (1 / 256, {"int8": -128, "uint8": 0}),
    "SOFTMAX": (1 / 256, {"int8": -128, "uint8": 0}),
    "L2_NORMALIZATION": (1 / 128, {"int8": 0, "uint8": 128}),
}
"""Results whose scale and zero point are not free."""

_UNCHANGED = frozenset(
    {
        *("CONCATENATION", "DEPTH_TO_SPACE", "MAX_POOL_2D", "PACK", "PAD", "RESIZE_BILINEAR"),
        *("SLICE", "SPACE_TO_DEPTH", "SPLIT", "STRIDED_SLICE", "TRANSPOSE", "UNPACK"),
    }
)
"""Operators that move values or choose among them, so that their results are quantised as their
data are: LiteRT refuses others, but for a uint8 CONCATENATION."""

_FIXED_TOLERANCE = 1e-3  # relative; LiteRT's for SOFTMAX


def check_tensor(name: str, tensor: Tensor) -> None:
    """Raise ``ModelError`` unless the numbers of a tensor's quantisation make sense."""
    scales, where = tensor.scales, f"tensor {tensor.index} ({tensor.name})"
    for channel, scale in enumerate(scales):
        if isfinite(scale) and scale >= _SMALLEST_SCALE:
            continue
        if scale != 0 or not _is_dead(tensor, channel):
            raise unsound(
                name,
                f"{where} is quantised with scale {scale:g}, which must be a positive number; "
                "convert the model again with representative data",
            )
    axis = tensor.quantized_dimension
    if scales and tensor.shape:
        if not 0 <= axis < len(tensor.shape):
            raise unsound(
                name,
                f"{where} is quantised along axis {axis}, but has {len(tensor.shape)} dimensions; "
                "the file is damaged",
            )
        if len(scales) not in (1, tensor.shape[axis]):
            raise unsound(
                name,
                f"{where} has {len(scales)} scales along axis {axis} of {list(tensor.shape)}, "
                f"where one or {tensor.shape[axis]} are needed; convert the model again",
            )
    if scales and len(tensor.zero_points) != len(scales):
        raise unsound(
            name,
            f"{where} has {len(tensor.zero_points)} zero points for {len(scales)} scales; the "
            "file is damaged",
        )
    low, high = (0, 0) if tensor.dtype in _WIDE else _ZERO_POINTS.get(tensor.dtype, (None, None))
    for zero_point in tensor.zero_points if scales else ():
        if low is not None and high is not None and not low <= zero_point <= high:
            raise unsound(
                name,
                f"{where} is {tensor.dtype} with zero point {zero_point}, which must be from "
                f"{low} to {high}; convert the model again",
            )


def _is_dead(tensor: Tensor, channel: int) -> bool:
    """Whether the values along a channel are all zero, for which converters write scale 0."""
    if len(tensor.scales) == 1 or tensor.data is None or tensor.dtype not in ("int8", "int32"):
        return False
    axis = tensor.quantized_dimension
    known = axis < len(tensor.shape) and channel < tensor.shape[axis]
    if not known or tensor.data.size != tensor.size_bytes:
        return False
    return not np.any(np.take(tensor.values(), channel, axis))


def check_quantization(name: str, operators: Sequence[Operator], tensors: Sequence[Tensor]) -> None:
    """Raise ``ModelError`` where an operator cannot compute with the quantisation it has."""
    for operator in operators:
        if operator.is_custom:
            continue
        found = None
        if operator.kind in _WEIGHTS:
            found = _wrong_with_weights(operator, tensors)
        elif operator.kind in _NEEDS_SCALES:
            around = (*operator.inputs, *operator.outputs)
            found = _without_scale([tensors[t] for t in around if t != NO_TENSOR])
            if found is None and operator.kind in ("ADD", "SUB"):
                found = _too_coarse([tensors[t] for t in around if t != NO_TENSOR])
        elif operator.kind in _UNCHANGED:
            found = _changed(operator, tensors)
        if found is None and operator.kind in _FIXED:
            found = _wrong_result(operator.kind, [tensors[t] for t in operator.outputs])
        if found is not None:
            raise unsound(
                name, f"operator {operator.file_index} ({operator.kind}) cannot compute: {found}"
            )


def _wrong_with_weights(operator: Operator, tensors: Sequence[Tensor]) -> str | None:
    data, weights, bias, axis = _WEIGHTS[operator.kind]
    places = [operator.inputs[p] if p < len(operator.inputs) else NO_TENSOR for p in range(4)]
    if NO_TENSOR in (places[data], places[weights]) or not operator.outputs:
        return "its input, weights or output are missing; the file is damaged"
    x, w, y = tensors[places[data]], tensors[places[weights]], tensors[operator.outputs[0]]
    if x.dtype not in _ZERO_POINTS:
        return None
    found = _without_scale([x, y])
    if found is not None:
        return found
    if not w.scales:
        return (
            f"the weights {w.name!r} are {w.dtype} without scale, while its input {x.name!r} is "
            f"{x.dtype}; quantise the weights, too"
        )
    if w.dtype != x.dtype and not (x.dtype == "int8" and w.dtype in ("int4", "int2")):
        return f"the weights {w.name!r} are {w.dtype}, while its input {x.name!r} is {x.dtype}"
    channels = w.shape[axis] if axis < len(w.shape) else 1
    if len(w.scales) not in (1, channels):
        return f"the weights {w.name!r} have {len(w.scales)} scales for {channels} channels"
    if w.dtype == "int8" and any(w.zero_points):
        return f"the weights {w.name!r} are int8 with a zero point, which must be 0"
    factor = x.scales[0] * max(w.scales) / y.scales[0]
    if factor >= _LARGEST_FACTOR:
        return (
            f"the scales of {x.name!r}, {w.name!r} and {y.name!r} give a factor of {factor:.4g}, "
            f"which must be less than {_LARGEST_FACTOR:g}; convert the model again with "
            "representative data"
        )
    if places[bias] == NO_TENSOR:
        return f"it has no bias, which {x.dtype} needs" if operator.kind in _NEEDS_BIAS else None
    b = tensors[places[bias]]
    if b.dtype != "int32":
        return f"the bias {b.name!r} is {b.dtype}, which must be int32"
    if b.scales and len(b.scales) != len(w.scales):
        return (
            f"the bias {b.name!r} has {len(b.scales)} scales and the weights {w.name!r} "
            f"{len(w.scales)}, which must be as many"
        )
    return None


def _without_scale(around: Sequence[Tensor]) -> str | None:
    for tensor in around:
        if tensor.dtype in _ZERO_POINTS and not tensor.scales:
            return (
                f"tensor {tensor.name!r} is {tensor.dtype} without scale and zero point; convert "
                "the model again with full integer quantization"
            )
    return None


def _too_coarse(around: Sequence[Tensor]) -> str | None:
    """ADD and SUB bring both inputs to one scale, and the sum from there to the result's."""
    *read, made = around
    if not read or any(tensor.dtype not in _ZERO_POINTS for tensor in around):
        return None
    factor = max(tensor.scales[0] for tensor in read) / made.scales[0]
    if factor < _LARGEST_SUM:
        return None
    return (
        f"scales up to {max(tensor.scales[0] for tensor in read):.4g} and {made.scales[0]:.4g} of "
        f"{made.name!r} give a factor of {factor:.4g}, which must be less than {_LARGEST_SUM:g}; "
        "convert the model again with representative data"
    )


def _changed(operator: Operator, tensors: Sequence[Tensor]) -> str | None:
    around = [tensors[t] for t in (*operator.inputs, *operator.outputs) if t != NO_TENSOR]
    data = [tensor for tensor in around if tensor.dtype in _ZERO_POINTS]
    for tensor in data:
        first, mixed = data[0], operator.kind == "CONCATENATION" and tensor.dtype == "uint8"
        if (tensor.scales, tensor.zero_points) != (first.scales, first.zero_points) and not mixed:
            return (
                f"{first.name!r} and {tensor.name!r} are quantised differently (scale "
                f"{first.scales}, zero point {first.zero_points} and {tensor.scales}, "
                f"{tensor.zero_points}), but it only moves values; convert the model again"
            )
    return None


def _wrong_result(kind: str, outputs: Sequence[Tensor]) -> str | None:
    scale, zero_points = _FIXED[kind]
    for tensor in outputs:
        expected = zero_points.get(tensor.dtype)
        if expected is None or not tensor.scales:
            continue
        near = abs(tensor.scales[0] - scale) <= _FIXED_TOLERANCE * scale
        if not near or tensor.zero_points != (expected,):
            return (
                f"its result {tensor.name!r} has scale {tensor.scales[0]:g} and zero point "
                f"{tensor.zero_points[0]}, where {scale:g} and {expected} are needed; convert the "
                "model again"
            )
    return None
