"""Weights of one layer: drawn at random, then scaled so that what leaves the layer is healthy.

A network with plain random weights dies: values shrink or explode, and every image gives the
same answer. Batch normalisation is what keeps a trained one alive, so these layers are made as
a converter leaves them after folding it: the weight scales divide each output channel by its
expected deviation, the bias subtracts its expected mean and adds the channel's own offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zoo.randomness import BELL_DEVIATION, bell, seed_of
from zoo.statistics import Floats, Statistics, affine, average, concatenated, uniform, weighted

Weights = Literal["random", "zeros"]
"""``random``: bell-shaped, and the network computes something.  ``zeros``: nothing is drawn, and
layers count on their targets being met; same shapes, kinds of scales and size of the file, for
those who only want to know how long the network takes."""

_SMALLEST_DEVIATION = 0.1
"""No channel is amplified more than this share of the layer's typical deviation asks for. A
nearly dead channel would otherwise get a multiplier that XNNPACK refuses."""

_CHUNK_WEIGHTS = 1 << 20
"""As many are looked at together: eight bytes each, where a whole layer may have 100 million."""


@dataclass(frozen=True)
class Target:
    """What the values of a layer should look like before its activation function.

    Each channel gets deviation ``deviation`` around its own mean, which is drawn with mean
    ``mean`` and deviation ``mean_deviation``. The channels must differ: when all of them are
    centred on zero, layer after layer of ReLUs forgets the image.
    """

    deviation: float = 1.0
    mean: float = 0.0
    mean_deviation: float = 1.0


@dataclass(frozen=True)
class Layer:
    """The parameters of a layer, with real-valued bias: its integers need the input's scale.

    ``scales`` are the weights' scales, float32 values, one per output channel, or a single one.
    ``statistics`` describe the output before the activation function.
    """

    weights: NDArray[np.int8]
    scales: Floats
    bias: Floats
    statistics: Statistics

    def integer_bias(self, input_scale: float) -> NDArray[np.int32]:
        """The bias in units of ``input_scale * scales``, as LiteRT's kernels want it."""
        units = np.rint(self.bias / (input_scale * self.scales))
        limit = float(1 << 30)
        return np.minimum(np.maximum(units, -limit), limit).astype(np.int32)


@dataclass(frozen=True)
class Vector:
    """One number per channel: int8 ``values`` in units of ``scale``, a float32 value."""

    values: NDArray[np.int8]
    scale: float

    def real(self) -> Floats:
        """The numbers that the integers stand for."""
        return self.values.astype(np.float64) * self.scale


def dense_layer(
    seed_name: str,
    shape: tuple[int, ...],
    inputs: Statistics,
    target: Target,
    *,
    per_channel: bool,
    weights_are: Weights = "random",
) -> Layer:
    """A layer in which every output channel sees every input channel.

    ``shape`` is (output channels, ..., input channels): OHWI of CONV_2D, or OI of
    FULLY_CONNECTED.
    """
    if weights_are == "zeros":
        summed = int(np.prod(shape[1:]))
        return _hollow(shape, shape[0], summed, inputs, target, per_channel=per_channel)
    weights = _draw(seed_name, shape)
    by_channel = weights.reshape(shape[0], -1, shape[-1])
    step = max(1, _CHUNK_WEIGHTS // by_channel[0].size)
    parts = []
    for first in range(0, shape[0], step):
        taps = by_channel[first : first + step].astype(np.int64)
        parts.append(weighted(inputs, taps.sum(axis=1), (taps * taps).sum(axis=1)))
    before = concatenated(parts)
    return _scaled(seed_name, weights, before, target, per_channel=per_channel)


def depthwise_layer(
    seed_name: str,
    shape: tuple[int, int, int, int],
    inputs: Statistics,
    target: Target,
    *,
    weights_are: Weights = "random",
) -> Layer:
    """A layer in which each channel sees itself only; ``shape`` is (1, height, width, channels)."""
    if weights_are == "zeros":
        summed = shape[1] * shape[2]
        return _hollow(shape, shape[3], summed, inputs, target, per_channel=True)
    weights = _draw(seed_name, shape)
    taps = weights.reshape(-1, shape[-1]).astype(np.int64)
    sums, squares = taps.sum(axis=0), (taps * taps).sum(axis=0)
    before = Statistics(
        inputs.mean * sums.astype(np.float64), inputs.variance * squares.astype(np.float64)
    )
    return _scaled(seed_name, weights, before, target, per_channel=True)


def normalization(
    seed_name: str, inputs: Statistics, target: Target, *, weights_are: Weights
) -> tuple[Vector, Vector]:
    """What each channel is multiplied with, and what is added then, to meet ``target``."""
    typical = np.sqrt(average(inputs.variance))
    deviation = np.maximum(inputs.deviation(), _SMALLEST_DEVIATION * typical)
    if not typical > 0.0:
        deviation = np.ones_like(deviation)
    factors = _vector(target.deviation / deviation)
    means = np.full(inputs.channels, target.mean)
    if weights_are == "random":
        means += target.mean_deviation * _bells(seed_name, inputs.channels)
    return factors, _vector(means - inputs.mean * factors.real())


def _vector(values: Floats) -> Vector:
    largest = float(np.abs(values).max())
    scale = float(np.float32(largest / 127)) if largest > 0.0 else 1.0
    limited = np.minimum(np.maximum(np.rint(values / scale), -127), 127)
    return Vector(limited.astype(np.int8), scale)


def _bells(seed_name: str, channels: int) -> Floats:
    return bell(seed_of(seed_name, "bias"), channels).astype(np.float64) / BELL_DEVIATION


def _hollow(
    shape: tuple[int, ...],
    channels: int,
    summed: int,
    inputs: Statistics,
    target: Target,
    *,
    per_channel: bool,
) -> Layer:
    """Zeros with the scale that random weights would have, leaving what is aimed at."""
    power = summed * average(inputs.variance + inputs.mean * inputs.mean)
    scale = target.deviation / (BELL_DEVIATION * float(np.sqrt(power))) if power > 0.0 else 1.0
    scales = np.full(channels if per_channel else 1, float(np.float32(scale)))
    spread = float(np.sqrt(target.deviation**2 + target.mean_deviation**2))
    after = uniform(channels, target.mean, spread)
    return Layer(np.zeros(shape, np.int8), scales, np.full(channels, target.mean), after)


def _draw(seed_name: str, shape: tuple[int, ...]) -> NDArray[np.int8]:
    return bell(seed_of(seed_name, "weights"), int(np.prod(shape))).reshape(shape)


def _scaled(
    seed_name: str,
    weights: NDArray[np.int8],
    before: Statistics,
    target: Target,
    *,
    per_channel: bool,
) -> Layer:
    typical = np.sqrt(average(before.variance))
    deviation = np.maximum(before.deviation(), _SMALLEST_DEVIATION * typical)
    if not per_channel:
        deviation = np.full(1, typical)
    if not typical > 0.0:  # a constant input: any scale will do
        deviation = np.ones_like(deviation)
    scales = (target.deviation / deviation).astype(np.float32).astype(np.float64)
    means = target.mean + target.mean_deviation * _bells(seed_name, before.channels)
    bias = means - before.mean * scales
    return Layer(weights, scales, bias, affine(before, np.broadcast_to(scales, means.shape), bias))
