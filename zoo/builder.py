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
from typing import Any

from numpy.typing import NDArray

from zoo import statistics as expect
from zoo.draft import Tensor, int32
from zoo.layers import Target, dense_layer, depthwise_layer, normalization
from zoo.operators import PlainOperators
from zoo.quantization import Quantization, Range
from zoo.shapes import (
    ACTIVATION_CODE,
    PADDING_CODE,
    Activation,
    Padding,
    enlarged_shape,
    window_options,
    window_shape,
)

_IMAGE = Quantization(1 / 128, 0)
_IMAGE_MEAN, _IMAGE_DEVIATION = -0.08, 0.5
"""Pixels 0 .. 255 as int8, standing for -1 .. 1, as the MobileNet and Inception families take
them; natural images average about 118 with a deviation of about 64."""

_DEFAULT_TARGET = Target()


class GraphBuilder(PlainOperators):
    """One model in the making; see the module's text for how to use it.

    Operators without parameters are methods of :class:`zoo.operators.PlainOperators`.
    """

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

    def build(self, *, floating: bool = False) -> bytes:
        """The model as the bytes of a ``.tflite`` file.

        ``floating`` gives the same network in float32, as it was before quantisation: weights are
        what the int8 ones stand for, and QUANTIZE and DEQUANTIZE are gone.
        """
        return self._draft.finish(floating=floating)

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
        shape = window_shape(name, x.shape, (height, width), stride, padding, channels)
        layer = dense_layer(
            f"{self.name}/{name}",
            (channels, height, width, x.shape[3]),
            x.statistics,
            target,
            per_channel=True,
            weights_are=self._weights_are,
        )
        weights, bias = self._draft.parameters_of(name, layer, x, axis=0)
        out = self._activated(name, shape, layer.statistics, activation)
        self._draft.operator(
            "CONV_2D",
            3,
            (x, weights, bias),
            (out,),
            "Conv2DOptions",
            window_options(stride, padding, activation),
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
        dilation: int = 1,
        multiplier: int = 1,
        activation: Activation = "none",
        target: Target = _DEFAULT_TARGET,
    ) -> Tensor:
        """DEPTHWISE_CONV_2D with ``multiplier`` filters per channel, bias and activation.

        A ``dilation`` other than 1 needs padding "same" and stride 1.
        """
        if dilation != 1 and (padding, stride) != ("same", 1):
            raise ValueError(f'{name}: a dilation of {dilation} needs padding "same" and stride 1')
        height, width = _pair(kernel)
        channels = multiplier * x.shape[-1]
        shape = window_shape(name, x.shape, (height, width), stride, padding, channels)
        layer = depthwise_layer(
            f"{self.name}/{name}",
            (1, height, width, channels),
            expect.repeated(x.statistics, multiplier),
            target,
            weights_are=self._weights_are,
        )
        weights, bias = self._draft.parameters_of(name, layer, x, axis=3)
        out = self._activated(name, shape, layer.statistics, activation)
        self._draft.operator(
            "DEPTHWISE_CONV_2D",
            3,
            (x, weights, bias),
            (out,),
            "DepthwiseConv2DOptions",
            {
                "depthMultiplier": multiplier,
                "dilationHFactor": dilation,
                "dilationWFactor": dilation,
                **window_options(stride, padding, activation),
            },
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
            f"{self.name}/{name}",
            (channels, x.shape[1]),
            x.statistics,
            target,
            per_channel=False,
            weights_are=self._weights_are,
        )
        weights, bias = self._draft.parameters_of(name, layer, x, axis=0)
        out = self._activated(name, (x.shape[0], channels), layer.statistics, activation)
        self._draft.operator(
            "FULLY_CONNECTED",
            4,
            (x, weights, bias),
            (out,),
            "FullyConnectedOptions",
            {"fusedActivationFunction": ACTIVATION_CODE[activation]},
            macs=math.prod(out.shape) * x.shape[1],
        )
        return out

    def transpose_conv(
        self,
        x: Tensor,
        channels: int,
        kernel: int,
        *,
        name: str,
        stride: int = 2,
        target: Target = _DEFAULT_TARGET,
    ) -> Tensor:
        """TRANSPOSE_CONV to ``stride`` times the size, padding "same", with a bias."""
        shape = enlarged_shape(x.shape, stride, channels)
        size = self._draft.constant(f"{name}/size", int32(list(shape)))
        layer = dense_layer(
            f"{self.name}/{name}",
            (channels, kernel, kernel, x.shape[3]),
            x.statistics,
            target,
            per_channel=True,
            weights_are=self._weights_are,
        )
        weights, bias = self._draft.parameters_of(name, layer, x, axis=0)
        out = self._activated(name, shape, layer.statistics, "none")
        options = {"padding": PADDING_CODE["same"], "strideH": stride, "strideW": stride}
        self._draft.operator(
            "TRANSPOSE_CONV",
            3,
            (size, weights, x, bias),
            (out,),
            "TransposeConvOptions",
            options,
            macs=math.prod(x.shape) * kernel * kernel * channels,
        )
        return out

    def normalize(
        self,
        x: Tensor,
        *,
        name: str,
        activation: Activation = "none",
        target: Target = _DEFAULT_TARGET,
    ) -> Tensor:
        """A batch normalisation that no convolution can take in: MUL and ADD of constants.

        They are (1, 1, 1, channels); the activation is the ADD's.
        """
        factors, offsets = normalization(
            f"{self.name}/{name}", x.statistics, target, weights_are=self._weights_are
        )
        by = self._draft.vector(f"{name}/factors", factors)
        plus = self._draft.vector(f"{name}/offsets", offsets)
        flat, one = 0.0 * offsets.real(), 0.0 * offsets.real() + 1.0
        multiplied = expect.affine(x.statistics, factors.real(), flat)
        y = self._activated(f"{name}/mul", x.shape, multiplied, "none")
        options = {"fusedActivationFunction": ACTIVATION_CODE["none"]}
        self._draft.operator("MUL", 2, (x, by), (y,), "MulOptions", options)
        shifted = expect.affine(multiplied, one, offsets.real())
        out = self._activated(name, x.shape, shifted, activation)
        options = {"fusedActivationFunction": ACTIVATION_CODE[activation]}
        self._draft.operator("ADD", 2, (y, plus), (out,), "AddOptions", options)
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


def _pair(kernel: int | tuple[int, int]) -> tuple[int, int]:
    return (kernel, kernel) if isinstance(kernel, int) else kernel
