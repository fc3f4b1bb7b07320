"""Numbers on which the latency of a segment can depend, known without running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from partitioner.problem.arrays import Array, Index
from partitioner.problem.places import Places


class Columns(Protocol):
    """Some features of segments, worked out for those that are asked for and kept for none."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def at(self, first: Index, end: Index) -> Array:
        """A row for each segment between two numbers of places, a column for each name."""
        ...


@dataclass(frozen=True, eq=False)
class Features:
    """Features of segments between ``places``, by the numbers of the places.

    Those of the ``boundary`` depend on what goes in and out (a request being made, bytes in, bytes
    out), those of the ``inside`` on the work (multiply-accumulates, bytes off chip, ...).
    ``per_operator``: for features that are sums over operators, what each operator contributes.
    ``sides_of``: by segment equal numbers for those that begin, and for those that end, alike;
    without it, those are alike that have the same place there.
    """

    places: Places
    boundary: Columns
    inside: Columns
    per_operator: Mapping[str, Array]
    sides_of: Callable[[Index, Index], tuple[Index, Index]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all features: those of the boundary, then those of the work inside."""
        return (*self.boundary.names, *self.inside.names)

    @property
    def boundary_names(self) -> tuple[str, ...]:
        return self.boundary.names

    def design(self, first: Index, end: Index) -> Array:
        """Feature vectors of segments (columns as :attr:`names`)."""
        return np.concatenate([self.boundary.at(first, end), self.inside.at(first, end)], axis=1)

    def boundary_columns(self, first: Index, end: Index) -> Array:
        """The columns of the boundary alone."""
        return self.boundary.at(first, end)

    def sides(self, first: Index, end: Index) -> tuple[Index, Index]:
        """Equal numbers for segments that begin alike, and for those that end alike."""
        return (first, end) if self.sides_of is None else self.sides_of(first, end)

    @classmethod
    def counting(cls, places: Places) -> Features:
        """The features of operators about which nothing is known: that there are so many."""
        ones = np.ones(places.num_operators)
        return cls(places, _Request(), _Count(places, places.prepared(ones)), {"operators": ones})


class _Request:
    names = ("request",)

    def at(self, first: Index, end: Index) -> Array:
        return np.ones((len(first), 1))


@dataclass(frozen=True, eq=False)
class _Count:
    places: Places
    prepared: Array

    names = ("operators",)

    def at(self, first: Index, end: Index) -> Array:
        return self.places.amount(self.prepared, first, end)[:, None]
