"""Build a valid full-int8 TFLite model operator by operator, without TensorFlow or data.

::

    graph = GraphBuilder("example")
    x = graph.input("image", (1, 16, 16, 3))
    a = graph.conv(x, 8, 3, name="a", activation="relu6")
    b = graph.depthwise(a, 3, name="b", activation="relu6")
    graph.output(graph.add(a, b, name="sum"))
    data = graph.build()                       # bytes of a .tflite file

What a method returns is a :class:`~zoo.draft.Tensor`, which further methods take. Every
operator gets the name of the tensor it makes, and names are unique. Weights are a function of
the model's and the tensor's names alone. Quantisation follows LiteRT's int8 rules: weights
symmetric per output channel (FULLY_CONNECTED: per tensor), int32 bias, one shared scale where
an operator may not rescale (pools, PAD, RESHAPE, SPLIT, RESIZE_BILINEAR, CONCATENATION).

Shapes are (1, height, width, channels), or any shape of rank 4 and less for operators that do
not care. A method raises :class:`ValueError` when shapes or ties do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zoo import statistics as expect
from zoo.draft import Draft, Tensor, int32
from zoo.layers import Target, dense_layer, depthwise_layer
from zoo.quantization import PROBABILITY, Quantization, Range
from zoo.statistics import Statistics

Activation = Literal["none", "relu", "relu6"]
Padding = Literal["same", "valid"]

_UNBOUNDED = Range(-math.inf, math.inf)
_ACTIVATION_RANGE = {"none": _UNBOUNDED, "relu": Range(0.0, math.inf), "relu6": Range(0.0, 6.0)}
_ACTIVATION_CODE = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
_PADDING_CODE = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}

HEADROOM = 6.0
"""Deviations from the mean a tensor's range reaches. Wide, because a channel's true deviation
differs from the expected one: neighbouring pixels and channels are correlated."""
_IMAGE = Quantization(1 / 128, 0)
_IMAGE_MEAN, _IMAGE_DEVIATION = -0.08, 0.5
"""Pixels 0 .. 255 as int8, standing for -1 .. 1, as the MobileNet and Inception families take
them; natural images average about 118 with a deviation of about 64."""

_DEFAULT_TARGET = Target()


def _expected_range(statistics: Statistics) -> Range:
    spread = HEADROOM * statistics.deviation()
    return Range(float((statistics.mean - spread).min()), float((statistics.mean + spread).max()))


def _output_size(size: int, window: int, stride: int, padding: Padding) -> int:
    out = -(-size // stride) if padding == "same" else (size - window) // stride + 1
    if out < 1:
        raise ValueError(f"a {window} wide window does not fit into {size} positions")
    return out


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


class GraphBuilder:
    """One model in the making; see the module's text for how to use it."""

    def __init__(self, name: str, description: str = "") -> None:
        self.name = name
        self._draft = Draft(name, description)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference so far (CONV, DEPTHWISE, FULLY_CONNECTED)."""
        return self._draft.macs

    @property
    def parameters(self) -> int:
        """Weights and biases so far; shapes, paddings and anchors do not count."""
        return self._draft.parameters

    @property
    def operator_count(self) -> int:
        """Operators so far."""
        return self._draft.operator_count

    # -- the edges of the graph ---------------------------------------------------------------

    def input(self, name: str, shape: Sequence[int]) -> Tensor:
        """A graph input of int8 values ``q`` standing for ``q / 128``."""
        statistics = expect.uniform(shape[-1], _IMAGE_MEAN, _IMAGE_DEVIATION)
        tensor = self._draft.activation(name, shape, statistics, Range(-1, 1), fixed=_IMAGE)
        self._draft.graph_input(tensor)
        return tensor

    def output(self, *tensors: Tensor) -> None:
        """Makes ``tensors`` graph outputs, in this order; they may be read by operators too."""
        for tensor in tensors:
            self._draft.graph_output(tensor)

    def build(self) -> bytes:
        """The model as the bytes of a ``.tflite`` file."""
        return self._draft.finish()

    def can_tie(self, a: Tensor, b: Tensor) -> bool:
        """Whether one quantisation, as concat() gives, suits both tensors.

        It does when both are free or both are bound to the same one; a tensor tied to a graph
        input or to a probability would otherwise force its scale on the other.
        """
        ties = self._draft.ties
        return ties.fixed(a.group) == ties.fixed(b.group)

    def is_read(self, tensor: Tensor) -> bool:
        """Whether any operator so far reads ``tensor``."""
        return self._draft.is_read(tensor)

    # -- layers with parameters ---------------------------------------------------------------

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: int | tuple[int, int],
        *,
        name: str,
        stride: int = 1,
        padding: Padding = "same",
        activation: Activation = "none",
        target: Target = _DEFAULT_TARGET,
    ) -> Tensor:
        """CONV_2D with ``channels`` filters of ``kernel`` (height, width), bias and activation."""
        height, width = _pair(kernel)
        shape = self._window_shape(x, (height, width), stride, padding, channels)
        layer = dense_layer(
            f"{self.name}/{name}",
            (channels, height, width, x.shape[3]),
            x.statistics,
            target,
            per_channel=True,
        )
        weights, bias = self._draft.parameters_of(name, layer, x, axis=0)
        out = self._activated(name, shape, layer.statistics, activation)
        self._draft.operator(
            "CONV_2D",
            3,
            (x, weights, bias),
            (out,),
            "Conv2DOptions",
            self._window_options(stride, padding, activation),
            macs=math.prod(shape) * height * width * x.shape[3],
        )
        return out

    def depthwise(
        self,
        x: Tensor,
        kernel: int | tuple[int, int],
        *,
        name: str,
        stride: int = 1,
        padding: Padding = "same",
        activation: Activation = "none",
        target: Target = _DEFAULT_TARGET,
    ) -> Tensor:
        """DEPTHWISE_CONV_2D with one filter per channel, bias and activation."""
        height, width = _pair(kernel)
        shape = self._window_shape(x, (height, width), stride, padding, x.shape[3])
        layer = depthwise_layer(
            f"{self.name}/{name}", (1, height, width, x.shape[3]), x.statistics, target
        )
        weights, bias = self._draft.parameters_of(name, layer, x, axis=3)
        out = self._activated(name, shape, layer.statistics, activation)
        self._draft.operator(
            "DEPTHWISE_CONV_2D",
            3,
            (x, weights, bias),
            (out,),
            "DepthwiseConv2DOptions",
            {"depthMultiplier": 1, **self._window_options(stride, padding, activation)},
            macs=math.prod(shape) * height * width,
        )
        return out

    def fully_connected(
        self,
        x: Tensor,
        channels: int,
        *,
        name: str,
        activation: Activation = "none",
        target: Target = _DEFAULT_TARGET,
    ) -> Tensor:
        """FULLY_CONNECTED from (1, n) to (1, channels), weights quantised per tensor."""
        if len(x.shape) != 2:
            raise ValueError(f"{name}: fully_connected needs a (1, n) input, not {x.shape}")
        layer = dense_layer(
            f"{self.name}/{name}", (channels, x.shape[1]), x.statistics, target, per_channel=False
        )
        weights, bias = self._draft.parameters_of(name, layer, x, axis=0)
        out = self._activated(name, (x.shape[0], channels), layer.statistics, activation)
        self._draft.operator(
            "FULLY_CONNECTED",
            4,
            (x, weights, bias),
            (out,),
            "FullyConnectedOptions",
            {"fusedActivationFunction": _ACTIVATION_CODE[activation]},
            macs=math.prod(out.shape) * x.shape[1],
        )
        return out

    # -- elementwise --------------------------------------------------------------------------

    def add(self, a: Tensor, b: Tensor, *, name: str, activation: Activation = "none") -> Tensor:
        """ADD of two tensors; axes of length 1 stretch."""
        shape = self._broadcast(name, a, b)
        sums = Range(a.values.low + b.values.low, a.values.high + b.values.high)
        out = self._activated(
            name, shape, expect.added(*self._aligned(a, b)), activation, bounds=sums
        )
        options = {"fusedActivationFunction": _ACTIVATION_CODE[activation]}
        self._draft.operator("ADD", 2, (a, b), (out,), "AddOptions", options)
        return out

    def mul(self, a: Tensor, b: Tensor, *, name: str) -> Tensor:
        """MUL of two tensors; axes of length 1 stretch."""
        shape = self._broadcast(name, a, b)
        products = [p * q for p in _ends(a.values) for q in _ends(b.values)]
        bounds = Range(min(products), max(products))
        out = self._activated(
            name, shape, expect.multiplied(*self._aligned(a, b)), "none", bounds=bounds
        )
        options = {"fusedActivationFunction": _ACTIVATION_CODE["none"]}
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

    def resize_bilinear(self, x: Tensor, height: int, width: int, *, name: str) -> Tensor:
        """RESIZE_BILINEAR to ``height`` x ``width``, pixel centres at half positions."""
        size = self._draft.constant(f"{name}/size", int32([height, width]))
        shape = (x.shape[0], height, width, x.shape[3])
        out = self._draft.activation(name, shape, x.statistics, x.values, tied_to=(x,))
        options = {"alignCorners": False, "halfPixelCenters": True}
        self._draft.operator(
            "RESIZE_BILINEAR", 3, (x, size), (out,), "ResizeBilinearOptions", options
        )
        return out

    # -- moving values ------------------------------------------------------------------------

    def concat(self, parts: Sequence[Tensor], *, name: str, axis: int = -1) -> Tensor:
        """CONCATENATION along ``axis``; all parts get one quantisation."""
        rank = len(parts[0].shape)
        axis = axis % rank
        rests = {part.shape[:axis] + part.shape[axis + 1 :] for part in parts}
        if len(rests) != 1:
            raise ValueError(f"{name}: shapes {[p.shape for p in parts]} differ off axis {axis}")
        total = sum(part.shape[axis] for part in parts)
        shape = (*parts[0].shape[:axis], total, *parts[0].shape[axis + 1 :])
        joined = expect.concatenated([part.statistics for part in parts])
        statistics = joined if axis == rank - 1 else expect.pooled(joined, shape[-1])
        values = parts[0].values
        for part in parts:
            values = values.union(part.values)
        out = self._draft.activation(name, shape, statistics, values, tied_to=parts)
        options = {"axis": axis, "fusedActivationFunction": _ACTIVATION_CODE["none"]}
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

    # -- everything else ----------------------------------------------------------------------

    def custom(
        self,
        code: str,
        options: bytes,
        inputs: Sequence[Tensor],
        constants: Sequence[tuple[str, NDArray[Any]]],
        outputs: Sequence[tuple[str, Sequence[int]]],
    ) -> tuple[Tensor, ...]:
        """A custom operator: ``inputs``, then ``constants`` by name, float32 ``outputs``."""
        sources: list[Tensor | int] = list(inputs)
        sources += [self._draft.constant(name, data) for name, data in constants]
        outs = [
            self._draft.activation(
                name, shape, expect.uniform(shape[-1], 0.0, 1.0), Range(-1, 1), dtype="float32"
            )
            for name, shape in outputs
        ]
        self._draft.operator("CUSTOM", 1, sources, outs, custom_code=code, custom_options=options)
        return tuple(outs)

    # -- shared parts -------------------------------------------------------------------------

    def _activated(
        self,
        name: str,
        shape: Sequence[int],
        before: Statistics,
        activation: Activation,
        *,
        bounds: Range = _UNBOUNDED,
    ) -> Tensor:
        """A new tensor with ``before`` clipped by the activation function and by ``bounds``."""
        limits = _ACTIVATION_RANGE[activation]
        values = _expected_range(before).within(bounds).within(limits)
        after = before
        if activation != "none":
            after = expect.clipped(before, limits.low, limits.high)
        return self._draft.activation(name, shape, after, values)

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
        shape = self._window_shape(x, (window, window), stride, padding, x.shape[3])
        out = self._draft.activation(name, shape, statistics, x.values, tied_to=(x,))
        options = {
            "filterHeight": window,
            "filterWidth": window,
            "padding": _PADDING_CODE[padding],
            "strideH": stride,
            "strideW": stride,
            "fusedActivationFunction": _ACTIVATION_CODE["none"],
        }
        self._draft.operator(code, 2, (x,), (out,), "Pool2DOptions", options)
        return out

    @staticmethod
    def _window_shape(
        x: Tensor, window: tuple[int, int], stride: int, padding: Padding, channels: int
    ) -> tuple[int, int, int, int]:
        if len(x.shape) != 4:
            raise ValueError(f"a window needs (1, height, width, channels), not {x.shape}")
        height = _output_size(x.shape[1], window[0], stride, padding)
        width = _output_size(x.shape[2], window[1], stride, padding)
        return (x.shape[0], height, width, channels)

    @staticmethod
    def _window_options(stride: int, padding: Padding, activation: Activation) -> dict[str, int]:
        return {
            "padding": _PADDING_CODE[padding],
            "strideH": stride,
            "strideW": stride,
            "dilationHFactor": 1,
            "dilationWFactor": 1,
            "fusedActivationFunction": _ACTIVATION_CODE[activation],
        }

    @staticmethod
    def _broadcast(name: str, a: Tensor, b: Tensor) -> tuple[int, ...]:
        fits = len(a.shape) == len(b.shape) and all(
            p == q or p == 1 or q == 1 for p, q in zip(a.shape, b.shape, strict=True)
        )
        if not fits:
            raise ValueError(f"{name}: shapes {a.shape} and {b.shape} do not go together")
        return tuple(max(p, q) for p, q in zip(a.shape, b.shape, strict=True))

    @staticmethod
    def _aligned(a: Tensor, b: Tensor) -> tuple[Statistics, Statistics]:
        """Both tensors' statistics, a single channel repeated to the other's number."""
        channels = max(a.statistics.channels, b.statistics.channels)
        p, q = (
            t.statistics
            if t.statistics.channels == channels
            else expect.pooled(t.statistics, channels)
            for t in (a, b)
        )
        return p, q


def _ends(values: Range) -> tuple[float, float]:
    return values.low, values.high
