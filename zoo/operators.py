"""Operators without parameters: what they do to shapes, to expected values and to scales.

One method per operator; :class:`zoo.builder.GraphBuilder` adds the layers with weights and is
what users make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from zoo import statistics as expect
from zoo.draft import Draft, Tensor, int32
from zoo.layers import Weights
from zoo.quantization import PROBABILITY, Range
from zoo.serialize import TYPE_CODES
from zoo.shapes import (
    ACTIVATION_CODE,
    ACTIVATION_RANGE,
    UNBOUNDED,
    Activation,
    Padding,
    broadcast_shape,
    joined_shape,
    window_options,
    window_shape,
)
from zoo.statistics import Statistics

HEADROOM = 6.0
"""Deviations from the mean a tensor's range reaches. Wide, because a channel's true deviation
differs from the expected one: neighbouring pixels and channels are correlated."""


class PlainOperators:
    """The operators a graph can have without weights; tensors in, tensors out."""

    def __init__(
        self,
        name: str,
        description: str = "",
        between: Callable[[], None] | None = None,
        *,
        weights: Weights = "random",
    ) -> None:
        self.name = name
        self._weights_are = weights
        self._draft = Draft(name, description, between)

    # -- elementwise --------------------------------------------------------------------------

    def add(self, a: Tensor, b: Tensor, *, name: str, activation: Activation = "none") -> Tensor:
        """ADD of two tensors; axes of length 1 stretch."""
        shape = broadcast_shape(name, a.shape, b.shape)
        sums = Range(a.values.low + b.values.low, a.values.high + b.values.high)
        out = self._activated(name, shape, expect.added(*_aligned(a, b)), activation, bounds=sums)
        options = {"fusedActivationFunction": ACTIVATION_CODE[activation]}
        self._draft.operator("ADD", 2, (a, b), (out,), "AddOptions", options)
        return out

    def mul(self, a: Tensor, b: Tensor, *, name: str) -> Tensor:
        """MUL of two tensors; axes of length 1 stretch."""
        shape = broadcast_shape(name, a.shape, b.shape)
        products = [p * q for p in _ends(a.values) for q in _ends(b.values)]
        bounds = Range(min(products), max(products))
        out = self._activated(
            name, shape, expect.multiplied(*_aligned(a, b)), "none", bounds=bounds
        )
        options = {"fusedActivationFunction": ACTIVATION_CODE["none"]}
        self._draft.operator("MUL", 2, (a, b), (out,), "MulOptions", options)
        return out

    def relu(self, x: Tensor, *, name: str) -> Tensor:
        """RELU as an operator of its own."""
        out = self._activated(name, x.shape, x.statistics, "relu", bounds=x.values)
        self._draft.operator("RELU", 2, (x,), (out,))
        return out

    def logistic(self, x: Tensor, *, name: str) -> Tensor:
        """LOGISTIC (sigmoid); the output is a probability in steps of 1/256."""
        statistics = expect.uniform(x.shape[-1], 0.5, 0.25)
        out = self._draft.activation(name, x.shape, statistics, Range(0, 1), fixed=PROBABILITY)
        self._draft.operator("LOGISTIC", 2, (x,), (out,))
        return out

    def softmax(self, x: Tensor, *, name: str) -> Tensor:
        """SOFTMAX over the last axis; the output is a probability in steps of 1/256."""
        share = 1.0 / x.shape[-1]
        statistics = expect.uniform(x.shape[-1], share, share)
        out = self._draft.activation(name, x.shape, statistics, Range(0, 1), fixed=PROBABILITY)
        self._draft.operator("SOFTMAX", 2, (x,), (out,), "SoftmaxOptions", {"beta": 1.0})
        return out

    def quantize(self, x: Tensor, *, name: str) -> Tensor:
        """QUANTIZE to an int8 scale of its own: the way out of a tie.

        The new range is the old one stretched by a quarter, so that values really change.
        """
        values = Range(1.25 * x.values.low, 1.25 * x.values.high)
        out = self._draft.activation(name, x.shape, x.statistics, values)
        self._draft.operator("QUANTIZE", 2, (x,), (out,), "QuantizeOptions")
        return out

    def dequantize(self, x: Tensor, *, name: str) -> Tensor:
        """DEQUANTIZE to float32, for operators that run on the CPU."""
        out = self._draft.activation(name, x.shape, x.statistics, x.values, dtype="float32")
        self._draft.operator("DEQUANTIZE", 2, (x,), (out,), "DequantizeOptions")
        return out

    # -- over positions -----------------------------------------------------------------------

    def max_pool(
        self,
        x: Tensor,
        window: int,
        *,
        name: str,
        stride: int | None = None,
        padding: Padding = "valid",
    ) -> Tensor:
        """MAX_POOL_2D; ``stride`` is ``window`` unless given."""
        statistics = expect.window_maximum(x.statistics)
        return self._pool("MAX_POOL_2D", x, window, name, stride, padding, statistics)

    def average_pool(
        self,
        x: Tensor,
        window: int,
        *,
        name: str,
        stride: int | None = None,
        padding: Padding = "valid",
    ) -> Tensor:
        """AVERAGE_POOL_2D, padding not counted; ``stride`` is ``window`` unless given."""
        statistics = expect.window_average(x.statistics)
        return self._pool("AVERAGE_POOL_2D", x, window, name, stride, padding, statistics)

    def mean(self, x: Tensor, *, name: str, keep_dims: bool = False) -> Tensor:
        """MEAN over height and width: (1, h, w, c) to (1, c), or (1, 1, 1, c)."""
        axes = self._draft.constant(f"{name}/axes", int32([1, 2]))
        shape = (x.shape[0], 1, 1, x.shape[3]) if keep_dims else (x.shape[0], x.shape[3])
        statistics = expect.global_average(x.statistics)
        out = self._activated(name, shape, statistics, "none", bounds=x.values)
        options = {"keepDims": keep_dims}
        self._draft.operator("MEAN", 2, (x, axes), (out,), "ReducerOptions", options)
        return out

    def resize_bilinear(
        self, x: Tensor, height: int, width: int, *, name: str, align_corners: bool = False
    ) -> Tensor:
        """RESIZE_BILINEAR to ``height`` x ``width``, pixel centres at half positions, or the
        corners' centres on each other when ``align_corners``."""
        options = {"alignCorners": align_corners, "halfPixelCenters": not align_corners}
        return self._resized("RESIZE_BILINEAR", x, height, width, name, "Bilinear", options)

    def resize_nearest(self, x: Tensor, height: int, width: int, *, name: str) -> Tensor:
        """RESIZE_NEAREST_NEIGHBOR to ``height`` x ``width``."""
        options = {"alignCorners": False, "halfPixelCenters": True}
        kind = "RESIZE_NEAREST_NEIGHBOR"
        return self._resized(kind, x, height, width, name, "NearestNeighbor", options)

    def arg_max(self, x: Tensor, *, name: str) -> Tensor:
        """ARG_MAX over the last axis, as int32; the Edge TPU leaves it to the CPU."""
        axis = self._draft.constant(f"{name}/axis", int32(len(x.shape) - 1))
        statistics = expect.uniform(x.shape[-2], 0.0, 1.0)
        out = self._draft.activation(name, x.shape[:-1], statistics, Range(-1, 1), dtype="int32")
        options = {"outputType": TYPE_CODES["int32"]}
        self._draft.operator("ARG_MAX", 2, (x, axis), (out,), "ArgMaxOptions", options)
        return out

    # -- moving values ------------------------------------------------------------------------

    def concat(self, parts: Sequence[Tensor], *, name: str, axis: int = -1) -> Tensor:
        """CONCATENATION along ``axis``; all parts get one quantisation."""
        rank = len(parts[0].shape)
        axis = axis % rank
        shape = joined_shape(name, [part.shape for part in parts], axis)
        joined = expect.concatenated([part.statistics for part in parts])
        statistics = joined if axis == rank - 1 else expect.pooled(joined, shape[-1])
        values = parts[0].values
        for part in parts:
            values = values.union(part.values)
        out = self._draft.activation(name, shape, statistics, values, tied_to=parts)
        options = {"axis": axis, "fusedActivationFunction": ACTIVATION_CODE["none"]}
        self._draft.operator("CONCATENATION", 2, parts, (out,), "ConcatenationOptions", options)
        return out

    def split(self, x: Tensor, pieces: int, *, name: str, axis: int = -1) -> tuple[Tensor, ...]:
        """SPLIT into ``pieces`` equal tensors named ``name/0``, ``name/1``, ..."""
        axis = axis % len(x.shape)
        if x.shape[axis] % pieces:
            raise ValueError(f"{name}: {x.shape[axis]} does not split into {pieces} equal pieces")
        length = x.shape[axis] // pieces
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        where = self._draft.constant(f"{name}/axis", int32(axis))
        outs = []
        for piece in range(pieces):
            statistics = x.statistics
            if axis == len(x.shape) - 1:
                part = slice(piece * length, (piece + 1) * length)
                statistics = Statistics(statistics.mean[part], statistics.variance[part])
            piece_name = f"{name}/{piece}"
            outs.append(
                self._draft.activation(piece_name, shape, statistics, x.values, tied_to=(x,))
            )
        options = {"numSplits": pieces}
        self._draft.operator("SPLIT", 2, (where, x), outs, "SplitOptions", options)
        return tuple(outs)

    def pad(
        self, x: Tensor, rows: tuple[int, int], columns: tuple[int, int], *, name: str
    ) -> Tensor:
        """PAD with zeros: (above, below) and (left, right)."""
        amounts = [(0, 0), rows, columns, (0, 0)]
        paddings = self._draft.constant(f"{name}/paddings", np.array(amounts, np.int32))
        shape = tuple(size + sum(around) for size, around in zip(x.shape, amounts, strict=True))
        out = self._draft.activation(name, shape, x.statistics, x.values, tied_to=(x,))
        self._draft.operator("PAD", 2, (x, paddings), (out,), "PadOptions")
        return out

    def reshape(self, x: Tensor, shape: Sequence[int], *, name: str) -> Tensor:
        """RESHAPE to ``shape``, all sizes written out."""
        if math.prod(shape) != math.prod(x.shape):
            raise ValueError(f"{name}: {x.shape} does not reshape to {tuple(shape)}")
        statistics = x.statistics
        if shape[-1] != x.shape[-1]:
            statistics = expect.pooled(statistics, shape[-1])
        new_shape = self._draft.constant(f"{name}/shape", int32(list(shape)))
        out = self._draft.activation(name, shape, statistics, x.values, tied_to=(x,))
        options = {"newShape": int32(list(shape))}
        self._draft.operator("RESHAPE", 1, (x, new_shape), (out,), "ReshapeOptions", options)
        return out

    # -- shared parts ---------------------------------------------------------------------------

    def _activated(
        self,
        name: str,
        shape: Sequence[int],
        before: Statistics,
        activation: Activation,
        *,
        bounds: Range = UNBOUNDED,
    ) -> Tensor:
        """A new tensor with ``before`` clipped by the activation function and by ``bounds``."""
        limits = ACTIVATION_RANGE[activation]
        values = _expected_range(before).within(bounds).within(limits)
        after = before
        if activation != "none":
            after = expect.clipped(before, limits.low, limits.high)
        return self._draft.activation(name, shape, after, values)

    def _resized(
        self,
        code: str,
        x: Tensor,
        height: int,
        width: int,
        name: str,
        kind: str,
        options: Mapping[str, bool],
    ) -> Tensor:
        size = self._draft.constant(f"{name}/size", int32([height, width]))
        shape = (x.shape[0], height, width, x.shape[3])
        out = self._draft.activation(name, shape, x.statistics, x.values, tied_to=(x,))
        self._draft.operator(code, 3, (x, size), (out,), f"Resize{kind}Options", options)
        return out

    def _pool(
        self,
        code: str,
        x: Tensor,
        window: int,
        name: str,
        stride: int | None,
        padding: Padding,
        statistics: Statistics,
    ) -> Tensor:
        stride = window if stride is None else stride
        shape = window_shape(name, x.shape, (window, window), stride, padding, x.shape[-1])
        out = self._draft.activation(name, shape, statistics, x.values, tied_to=(x,))
        options = {
            "filterHeight": window,
            "filterWidth": window,
            **window_options(stride, padding, "none"),
        }
        self._draft.operator(code, 2, (x,), (out,), "Pool2DOptions", options)
        return out


def _expected_range(statistics: Statistics) -> Range:
    spread = HEADROOM * statistics.deviation()
    return Range(float((statistics.mean - spread).min()), float((statistics.mean + spread).max()))


def _aligned(a: Tensor, b: Tensor) -> tuple[Statistics, Statistics]:
    """Both tensors' statistics, a single channel repeated to the other's number."""
    channels = max(a.statistics.channels, b.statistics.channels)
    p, q = (
        t.statistics if t.statistics.channels == channels else expect.pooled(t.statistics, channels)
        for t in (a, b)
    )
    return p, q


def _ends(values: Range) -> tuple[float, float]:
    return values.low, values.high
