"""Numbers on which the latency of a segment can depend, known without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from partitioner.problem.arrays import Array, Index, Table


class Features(Protocol):
    """Features of segments between places, by the numbers of the places.

    Those of the boundary depend on what goes in and out (a request being made, bytes in, bytes
    out), those of the inside on the work (multiply-accumulates, bytes off chip, ...).
    """

    @property
    def places(self) -> object:
        """What the numbers are about: positions, or ideals."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of all features: those of the boundary, then those of the work inside."""
        ...

    @property
    def boundary_names(self) -> tuple[str, ...]: ...

    @property
    def per_operator(self) -> Mapping[str, Array]:
        """For features that are sums over operators, what each operator contributes."""
        ...

    @property
    def num_operators(self) -> int: ...

    def design(self, first: Index, end: Index) -> Array:
        """Feature vectors of segments (columns as :attr:`names`)."""
        ...

    def boundary_columns(self, first: Index, end: Index) -> Array:
        """The columns of the boundary alone."""
        ...

    def prepared(self, shares: Array) -> Array:
        """Numbers by operator in the form that the next two want."""
        ...

    def amount(self, prepared: Array, first: Index, end: Index) -> Array:
        """The sum over each segment's operators."""
        ...

    def overlap(self, prepared: Array, first: Index, end: Index) -> Array:
        """What the operators before each place (rows) share with the segments given (columns).

        The sum over the operators that a segment has in common with them is the row of its end less
        the row of its first place.
        """
        ...

    def starts(self, first: Index, end: Index) -> Index:
        """Equal numbers for segments that begin alike."""
        ...

    def ends(self, first: Index, end: Index) -> Index:
        """Equal numbers for segments that end alike."""
        ...


@dataclass(frozen=True, eq=False)
class SegmentFeatures:
    """:class:`Features` of every segment between the cut positions given.

    ``positions``: ascending, from 0 to the number of operators n; m of them.
    ``boundary``: ``m x m`` tables of what depends on a segment's boundary (a request being made,
    bytes in, bytes out).  ``inside``: ``m x m`` tables of what depends on the work inside
    (multiply-accumulates, activation bytes, parameter bytes off chip, operators on the CPU).
    Entry ``[i, j]`` is for the segment from ``positions[i]`` to ``positions[j]``; only entries
    above the diagonal count.  ``per_operator``: for features of ``inside`` that are sums over
    operators, what each operator contributes (length n).
    """

    positions: tuple[int, ...]
    boundary: Mapping[str, Table]
    inside: Mapping[str, Table]
    per_operator: Mapping[str, Array]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all features: those of the boundary, then those of the work inside."""
        return (*self.boundary, *self.inside)

    @property
    def places(self) -> tuple[int, ...]:
        return self.positions

    @property
    def boundary_names(self) -> tuple[str, ...]:
        return tuple(self.boundary)

    @property
    def num_operators(self) -> int:
        return self.positions[-1]

    def prepared(self, shares: Array) -> Array:
        sums: Array = np.concatenate([[0.0], np.cumsum(shares)])[list(self.positions)]
        return sums

    def amount(self, prepared: Array, first: Index, end: Index) -> Array:
        return np.asarray(prepared[end] - prepared[first])

    def overlap(self, prepared: Array, first: Index, end: Index) -> Array:
        return np.clip(prepared[:, None], prepared[first], prepared[end])

    def starts(self, first: Index, end: Index) -> Index:
        return first

    def ends(self, first: Index, end: Index) -> Index:
        return end

    def design(self, first: Index, end: Index) -> Array:
        """Feature vectors (columns as :attr:`names`) of segments given by positions' indices."""
        result = np.empty((len(first), len(self.names)))
        for column, table in enumerate((*self.boundary.values(), *self.inside.values())):
            result[:, column] = table[first, end]
        return result

    def boundary_columns(self, first: Index, end: Index) -> Array:
        """The columns of the boundary alone."""
        result = np.empty((len(first), len(self.boundary)))
        for column, table in enumerate(self.boundary.values()):
            result[:, column] = table[first, end]
        return result

    @classmethod
    def counting(cls, positions: tuple[int, ...]) -> SegmentFeatures:
        """The features of operators about which nothing is known: that there are so many."""
        at = np.asarray(positions, dtype=np.float32)
        ones: Table = np.ones((len(at), len(at)), dtype=np.float32)
        count = np.maximum(at[None, :] - at[:, None], 0.0)
        return cls(
            positions,
            boundary={"request": ones},
            inside={"operators": count},
            per_operator={"operators": np.ones(positions[-1])},
        )
