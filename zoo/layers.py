"""Weights of one layer: drawn at random, then scaled so that what leaves the layer is healthy.

A network with plain random weights dies: values shrink or explode, and every image gives the
same answer. Batch normalisation is what keeps a trained one alive, so these layers are made as
a converter leaves them after folding it: the weight scales divide each output channel by its
expected deviation, the bias subtracts its expected mean and adds the channel's own offset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.randomness import BELL_DEVIATION, bell, seed_of
from zoo.statistics import Floats, Statistics, affine, average, weighted

_SMALLEST_DEVIATION = 0.1
"""No channel is amplified more than this share of the layer's typical deviation asks for. A
nearly dead channel would otherwise get a multiplier that XNNPACK refuses."""


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


def dense_layer(
    seed_name: str, shape: tuple[int, ...], inputs: Statistics, target: Target, *, per_channel: bool
) -> Layer:
    """A layer in which every output channel sees every input channel.

    ``shape`` is (output channels, ..., input channels): OHWI of CONV_2D, or OI of
    FULLY_CONNECTED.
    """
    weights = _draw(seed_name, shape)
    taps = weights.reshape(shape[0], -1, shape[-1]).astype(np.int64)
    before = weighted(inputs, taps.sum(axis=1), (taps * taps).sum(axis=1))
    return _scaled(seed_name, weights, before, target, per_channel=per_channel)


def depthwise_layer(
    seed_name: str, shape: tuple[int, int, int, int], inputs: Statistics, target: Target
) -> Layer:
    """A layer in which each channel sees itself only; ``shape`` is (1, height, width, channels)."""
    weights = _draw(seed_name, shape)
    taps = weights.reshape(-1, shape[-1]).astype(np.int64)
    sums, squares = taps.sum(axis=0), (taps * taps).sum(axis=0)
    before = Statistics(
        inputs.mean * sums.astype(np.float64), inputs.variance * squares.astype(np.float64)
    )
    return _scaled(seed_name, weights, before, target, per_channel=True)


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
    offsets = bell(seed_of(seed_name, "bias"), before.channels).astype(np.float64) / BELL_DEVIATION
    means = target.mean + target.mean_deviation * offsets
    bias = means - before.mean * scales
    return Layer(weights, scales, bias, affine(before, np.broadcast_to(scales, means.shape), bias))
