"""The features of segments between ideals, by the operators that lie between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partitioner.features import Array, Index
from partitioner.ideals import Ideals

Column = NDArray[np.float32]
Keys = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SetFeatures:
    """:class:`~partitioner.features.Features` of all segments between ``ideals``.

    ``boundary``, ``inside``: a column for each feature, by the numbers that ``ideals`` gives to
    segments; ``entering``, ``leaving``: equal numbers for segments that take in, or hand on, the
    same tensors.
    """

    ideals: Ideals
    boundary: Mapping[str, Column]
    inside: Mapping[str, Column]
    per_operator: Mapping[str, Array]
    entering: Keys
    leaving: Keys

    @property
    def places(self) -> Ideals:
        return self.ideals

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.boundary, *self.inside)

    @property
    def boundary_names(self) -> tuple[str, ...]:
        return tuple(self.boundary)

    @property
    def num_operators(self) -> int:
        return self.ideals.num_operators

    def design(self, first: Index, end: Index) -> Array:
        numbers = self.ideals.number[first, end]
        result = np.empty((len(numbers), len(self.names)))
        for at, column in enumerate((*self.boundary.values(), *self.inside.values())):
            result[:, at] = column[numbers]
        return result

    def boundary_columns(self, first: Index, end: Index) -> Array:
        numbers = self.ideals.number[first, end]
        result = np.empty((len(numbers), len(self.boundary)))
        for at, column in enumerate(self.boundary.values()):
            result[:, at] = column[numbers]
        return result

    def prepared(self, shares: Array) -> Array:
        return shares

    def amount(self, prepared: Array, first: Index, end: Index) -> Array:
        return np.asarray(self._members(first, end) @ prepared)

    def overlap(self, prepared: Array, f: Index, e: Index, first: Index, end: Index) -> Array:
        theirs = self._members(first, end) * prepared
        return np.asarray(self._members(f, e) @ theirs.T)

    def starts(self, first: Index, end: Index) -> Index:
        return self.entering[self.ideals.number[first, end]]

    def ends(self, first: Index, end: Index) -> Index:
        return self.leaving[self.ideals.number[first, end]]

    def _members(self, first: Index, end: Index) -> Array:
        return self.ideals.members(self.ideals.number[first, end].astype(np.intp)).astype(
            np.float64
        )

    @classmethod
    def counting(cls, ideals: Ideals) -> SetFeatures:
        """The features of operators about which nothing is known: that there are so many."""
        numbers = np.arange(ideals.distinct_segments)
        count = ideals.members(numbers).sum(axis=1, dtype=np.float32)
        return cls(
            ideals,
            boundary={"request": np.ones(len(numbers), dtype=np.float32)},
            inside={"operators": count},
            per_operator={"operators": np.ones(ideals.num_operators)},
            entering=numbers,
            leaving=numbers,
        )
