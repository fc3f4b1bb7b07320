"""The features of segments between ideals, by the operators that lie between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from partitioner.problem.arrays import Array, Index
from partitioner.problem.ideals import Ideals

Column = NDArray[np.float32]
Keys = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SetFeatures:
    """:class:`~partitioner.problem.Features` of all segments between ``ideals``.

    ``boundary``, ``inside``: a column for each feature, by the numbers that ``ideals`` gives to
    segments; ``entering``, ``leaving``: equal numbers for segments that take in, or hand on, the
    same tensor, the largest one of each.
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
        return self._table[self.ideals.number[first, end]].astype(np.float64)

    def boundary_columns(self, first: Index, end: Index) -> Array:
        boundary = self._table[:, : len(self.boundary)]
        return boundary[self.ideals.number[first, end]].astype(np.float64)

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        """A row for each segment."""
        return np.stack([*self.boundary.values(), *self.inside.values()], axis=1)

    def prepared(self, shares: Array) -> Array:
        """Sums over each ideal's operators, behind the numbers themselves."""
        return np.concatenate([shares, self.ideals.contents @ shares])

    def amount(self, prepared: Array, first: Index, end: Index) -> Array:
        sums = prepared[self.num_operators :]
        return np.asarray(sums[end] - sums[first])

    def overlap(self, prepared: Array, first: Index, end: Index) -> Array:
        shares = prepared[: self.num_operators]
        members = self.ideals.members(self.ideals.number[first, end].astype(np.intp))
        return np.asarray(self.ideals.contents.astype(np.float64) @ (members * shares).T)

    def starts(self, first: Index, end: Index) -> Index:
        return self.entering[self.ideals.number[first, end]]

    def ends(self, first: Index, end: Index) -> Index:
        return self.leaving[self.ideals.number[first, end]]

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
