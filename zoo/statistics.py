"""What values a tensor is expected to hold, worked out instead of measured.

A model without training data needs quantisation scales all the same. Running images through it
would find them, but float kernels differ in the last bit between processors, and then so would
the file. So means and variances per channel are carried through the graph by formula, treating
every channel as a Gaussian before each activation function.

Bit for bit the same everywhere: only elementwise ``+ - * /``, ``sqrt`` and ``rint`` on float64
(IEEE 754 fixes their results), sums either in integers or in a written order, no ``exp``, no
matrix product in floating point, no reduction whose order a library may choose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NODES = 64
"""A binomial distribution of 64 fair coins has deviation exactly 4 and is Gaussian to about
1e-2 of a deviation; its probabilities C(64, k) / 2**64 are exact, where exp(-x*x/2) would not
be. That is precise enough for scales."""
_QUADRATURE: tuple[tuple[float, float], ...] = tuple(
    ((k - _NODES // 2) / 4.0, math.comb(_NODES, k) / 2**_NODES) for k in range(_NODES + 1)
)

_MAX_OF_3_MEAN = 0.8462843753216345
_MAX_OF_3_VARIANCE = 0.5594672037973512
"""Mean and variance of the largest of three independent standard normals: 3 / (2 sqrt(pi)) and
(4 pi - 9 + 2 sqrt(3)) / (4 pi). The nine values under a 3x3 window of a natural image are worth
about three independent ones."""
_AVERAGE_3X3_VARIANCE = 0.5
"""Share of variance left by a 3x3 average; 1/9 for independent neighbours, 1 for equal ones."""
_GLOBAL_MEAN_VARIANCE = 0.5
"""Share of variance left by the mean over all positions. What differs from image to image is less,
but after a mean the errors of the expected means, which add up layer by layer, are all there is
to see."""

_FIXED_POINT = float(1 << 20)


@dataclass(frozen=True)
class Statistics:
    """Expected mean and variance of each channel (last axis), over positions and over images.

    Both arrays are float64 of length ``channels``.
    """

    mean: Floats
    variance: Floats

    @property
    def channels(self) -> int:
        return int(self.mean.size)

    def deviation(self) -> Floats:
        """Standard deviation per channel."""
        return np.sqrt(self.variance)

    def alike(self) -> bool:
        """Whether all channels have the same mean and the same variance."""
        return bool((self.mean == self.mean[0]).all() and (self.variance == self.variance[0]).all())


def uniform(channels: int, mean: float, deviation: float) -> Statistics:
    """``channels`` channels that all look alike."""
    return Statistics(np.full(channels, mean), np.full(channels, deviation * deviation))


def repeated(statistics: Statistics, times: int) -> Statistics:
    """Every channel ``times`` times in a row."""
    return Statistics(np.repeat(statistics.mean, times), np.repeat(statistics.variance, times))


def average(values: Floats) -> float:
    """The mean of ``values``, exactly rounded whatever their order."""
    return math.fsum(values.tolist()) / values.size


def pooled(statistics: Statistics, channels: int) -> Statistics:
    """Every channel mixed into one distribution, given to each of ``channels`` channels."""
    mean = average(statistics.mean)
    square = average(statistics.variance + statistics.mean * statistics.mean)
    variance = max(square - mean * mean, 0.0)
    return Statistics(np.full(channels, mean), np.full(channels, variance))


def clipped(before: Statistics, low: float, high: float) -> Statistics:
    """``min(max(x, low), high)`` of a Gaussian: ReLU is (0, inf), ReLU6 is (0, 6)."""
    if before.channels > 1 and before.alike():  # one channel tells what all of them do
        mean, variance = _clipped_one(float(before.mean[0]), float(before.variance[0]), low, high)
        return Statistics(np.full(before.channels, mean), np.full(before.channels, variance))
    deviation = before.deviation()
    first = np.zeros(before.channels)
    second = np.zeros(before.channels)
    for node, weight in _QUADRATURE:  # the written order is part of the result
        value = np.minimum(np.maximum(before.mean + node * deviation, low), high)
        share = weight * value
        first = first + share
        second = second + share * value
    return Statistics(first, np.maximum(second - first * first, 0.0))


@lru_cache(maxsize=256)
def _clipped_one(mean: float, variance: float, low: float, high: float) -> tuple[float, float]:
    after = clipped(Statistics(np.full(1, mean), np.full(1, variance)), low, high)
    return float(after.mean[0]), float(after.variance[0])


def weighted(inputs: Statistics, sums: NDArray[np.int64], squares: NDArray[np.int64]) -> Statistics:
    """A weighted sum of inputs whose weights are integers independent of each other.

    ``sums`` and ``squares`` hold, for each output channel (row) and input channel (column), the
    sum of the weights and the sum of their squares. Means and variances go in as integers of
    2**-20, so that the products are summed exactly, in any order.
    """
    mean = np.rint(inputs.mean * _FIXED_POINT).astype(np.int64)
    variance = np.rint(inputs.variance * _FIXED_POINT).astype(np.int64)
    return Statistics(
        (sums @ mean).astype(np.float64) / _FIXED_POINT,
        (squares @ variance).astype(np.float64) / _FIXED_POINT,
    )


def affine(inputs: Statistics, factor: Floats, offset: Floats) -> Statistics:
    """``factor * x + offset`` per channel."""
    return Statistics(inputs.mean * factor + offset, inputs.variance * factor * factor)


def added(a: Statistics, b: Statistics) -> Statistics:
    """Sum of two uncorrelated tensors."""
    return Statistics(a.mean + b.mean, a.variance + b.variance)


def multiplied(a: Statistics, b: Statistics) -> Statistics:
    """Product of two independent tensors."""
    squares = (a.variance + a.mean * a.mean) * (b.variance + b.mean * b.mean)
    mean = a.mean * b.mean
    return Statistics(mean, np.maximum(squares - mean * mean, 0.0))


def concatenated(parts: Sequence[Statistics]) -> Statistics:
    """Channels of all parts, one after the other."""
    return Statistics(
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.variance for part in parts]),
    )


def window_maximum(inputs: Statistics) -> Statistics:
    """Largest value under a small window."""
    return Statistics(
        inputs.mean + _MAX_OF_3_MEAN * inputs.deviation(), inputs.variance * _MAX_OF_3_VARIANCE
    )


def window_average(inputs: Statistics) -> Statistics:
    """Average under a small window."""
    return Statistics(inputs.mean, inputs.variance * _AVERAGE_3X3_VARIANCE)


def global_average(inputs: Statistics) -> Statistics:
    """Average over all positions of an image."""
    return Statistics(inputs.mean, inputs.variance * _GLOBAL_MEAN_VARIANCE)
