"""From expected ranges to int8 scales.

LiteRT wants the same quantisation on both sides of some operators (pools, PAD, RESHAPE,
CONCATENATION, ...). Such tensors are *tied*: they share one range, which covers them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Quantization:
    """``real = scale * (q - zero_point)`` of an int8 tensor; ``scale`` is a float32 value."""

    scale: float
    zero_point: int


PROBABILITY = Quantization(1 / 256, -128)
"""What LiteRT demands of an int8 SOFTMAX or LOGISTIC output: [0, 1) in steps of 1/256."""


@dataclass(frozen=True)
class Range:
    """The real values a tensor must be able to hold."""

    low: float
    high: float

    def union(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))

    def within(self, other: Range) -> Range:
        return Range(
            min(max(self.low, other.low), other.high), max(min(self.high, other.high), other.low)
        )


def float32(value: float) -> float:
    """``value`` rounded to what a flatbuffer's float32 field keeps."""
    return float(np.float32(value))


def quantization_of(values: Range) -> Quantization:
    """The asymmetric int8 quantisation that covers ``values`` and holds 0.0 exactly."""
    low, high = min(values.low, 0.0), max(values.high, 0.0)
    scale = float32((high - low) / 255)
    if not scale > 0.0:
        return Quantization(1.0, 0)
    return Quantization(scale, min(max(round(-128 - low / scale), -128), 127))


class TieError(ValueError):
    """Tensors that must share one quantisation have two different fixed ones."""


class Ties:
    """Which tensors share a quantisation (union-find), and what each group must cover."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._range: list[Range] = []
        self._fixed: list[Quantization | None] = []

    def new(self, values: Range, fixed: Quantization | None = None) -> int:
        """A group of its own for one more tensor; returns its number."""
        self._parent.append(len(self._parent))
        self._range.append(values)
        self._fixed.append(fixed)
        return len(self._parent) - 1

    def _root(self, group: int) -> int:
        while self._parent[group] != group:
            self._parent[group] = self._parent[self._parent[group]]
            group = self._parent[group]
        return group

    def fixed(self, group: int) -> Quantization | None:
        """The quantisation the group was created with or tied to, if any."""
        return self._fixed[self._root(group)]

    def tie(self, a: int, b: int) -> None:
        """From now on ``a`` and ``b`` have the same quantisation.

        Raises :class:`TieError` when both are fixed and differ.
        """
        fixed_a, fixed_b = self.fixed(a), self.fixed(b)
        if fixed_a is not None and fixed_b is not None and fixed_a != fixed_b:
            raise TieError(
                f"cannot give {fixed_a} and {fixed_b} to tensors that must share one "
                "quantisation; put a quantize() between them"
            )
        root_a, root_b = self._root(a), self._root(b)
        if root_a != root_b:
            self._parent[root_b] = root_a
            self._range[root_a] = self._range[root_a].union(self._range[root_b])
            self._fixed[root_a] = self._fixed[root_a] or self._fixed[root_b]

    def quantization(self, group: int) -> Quantization:
        """What the group is quantised with, as far as ties are known now."""
        root = self._root(group)
        return self._fixed[root] or quantization_of(self._range[root])
