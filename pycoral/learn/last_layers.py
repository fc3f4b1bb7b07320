"""The operators that learning puts behind a base, quantised in the base's own 8-bit type.

LiteRT's rules: int8 weights are symmetric about 0, uint8 ones are not; a bias is int32 with the
scale of input times weights; SOFTMAX makes probabilities in steps of 1/256.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from compiler import NewOperator, NewTensor

FloatArray = NDArray[np.float64]

_PROBABILITY_STEP = 1 / 256
"""LiteRT refuses any other scale of SOFTMAX's output."""

_SYMMETRIC_MOST = 127
"""int8 weights are -127 to 127: LiteRT's specification leaves out -128."""


class Steps(NamedTuple):
    """How numbers are written in 8 bits: ``scale * (stored - zero_point)``."""

    dtype: str
    scale: float
    zero_point: int

    def stored(self, values: FloatArray) -> NDArray[np.generic]:
        """The nearest numbers that can be written."""
        limits = np.iinfo(self.dtype)
        rounded = np.rint(values / self.scale) + self.zero_point
        stored: NDArray[np.generic] = np.clip(rounded, limits.min, limits.max).astype(self.dtype)
        return stored

    def values(self, stored: NDArray[np.generic]) -> FloatArray:
        """What was written."""
        return self.scale * (stored.astype(np.float64) - self.zero_point)

    def tensor(self, name: str, shape: tuple[int, ...]) -> NewTensor:
        """An activation that is written so."""
        return NewTensor(name, shape, self.dtype, (self.scale,), (self.zero_point,))


def steps_between(low: float, high: float, dtype: str) -> Steps:
    """The finest steps from ``low`` to ``high`` and, if it is not between them, 0."""
    limits = np.iinfo(dtype)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (limits.max - limits.min) or 1.0
    zero_point = int(np.clip(np.rint(limits.min - low / scale), limits.min, limits.max))
    return Steps(dtype, scale, zero_point)


def weight_steps(weights: FloatArray, dtype: str) -> Steps:
    """The finest steps for weights that share one scale."""
    if dtype == "int8":
        return Steps(dtype, float(np.abs(weights).max(initial=0)) / _SYMMETRIC_MOST or 1.0, 0)
    return steps_between(float(weights.min(initial=0)), float(weights.max(initial=0)), dtype)


def weights_and_bias(
    name: str, weights: FloatArray, bias: FloatArray, read: Steps, steps: Steps | list[Steps]
) -> tuple[NewTensor, NewTensor]:
    """Constants for FULLY_CONNECTED or CONV_2D behind a tensor of steps ``read``.

    ``steps`` are those of all weights, or a list with those of each slice along axis 0.
    """
    if isinstance(steps, Steps):
        stored, each = steps.stored(weights), [steps]
    else:
        stored = np.stack([one.stored(row) for one, row in zip(steps, weights, strict=True)])
        each = steps
    scales = tuple(one.scale for one in each)
    zero_points = tuple(one.zero_point for one in each)
    bias_scales = tuple(read.scale * scale for scale in scales)
    limits = np.iinfo(np.int32)
    whole = np.clip(np.rint(bias / np.array(bias_scales)), limits.min, limits.max)
    return (
        NewTensor.constant(f"{name}/weights", stored, scales, zero_points),
        NewTensor.constant(
            f"{name}/bias", whole.astype(np.int32), bias_scales, (0,) * len(bias_scales)
        ),
    )


def reshape(reads: str | NewTensor, steps: Steps, name: str, shape: tuple[int, ...]) -> NewOperator:
    """RESHAPE of a tensor of ``steps`` to ``shape``, which changes no value."""
    target = NewTensor.constant(f"{name}/shape", np.array(shape, np.int32))
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    return NewOperator("RESHAPE", (reads, target), (steps.tensor(name, shape),), options)


def softmax(reads: NewTensor, name: str, beta: float = 1.0) -> NewOperator:
    """SOFTMAX over the last axis."""
    options = schema.SoftmaxOptionsT()
    options.beta = beta
    lowest = int(np.iinfo(reads.dtype).min)
    made = Steps(reads.dtype, _PROBABILITY_STEP, lowest).tensor(name, reads.shape)
    return NewOperator("SOFTMAX", (reads,), (made,), options, 2 if reads.dtype == "int8" else 1)
