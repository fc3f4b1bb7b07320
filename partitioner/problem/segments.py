"""Many segments at once, as flat arrays.

Not as tables over all pairs of places: of thousands of operators, few segments can be part of a
good cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from partitioner.problem.arrays import Array, Index, Mask

PART = 1 << 18
"""Segments looked at together where all would be too many to hold: some tens of megabytes."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments by ``first`` and ``end`` place, ordered by ``first``, then ``end``."""

    num_places: int
    first: Index
    end: Index

    @classmethod
    def all(cls, num_places: int) -> Segments:
        """Every segment between any two places."""
        first, end = np.triu_indices(num_places, 1)
        return cls(num_places, first, end)

    @classmethod
    def chosen(cls, parts: Iterable[Segments], wanted: Callable[[Segments], Mask]) -> Segments:
        """Those of all ``parts``, which are in order, that are ``wanted``."""
        some = [part.where(wanted(part)) for part in parts]
        first = np.concatenate([part.first for part in some])
        end = np.concatenate([part.end for part in some])
        return cls(some[0].num_places, first, end)

    def __len__(self) -> int:
        return len(self.first)

    def where(self, mask: Mask) -> Segments:
        """Those for which ``mask`` is true."""
        return Segments(self.num_places, self.first[mask], self.end[mask])

    @cached_property
    def keys(self) -> Index:
        """One number for each segment, ascending."""
        return np.asarray(self.first * self.num_places + self.end)

    def find(self, first: Index, end: Index) -> tuple[Index, Mask]:
        """Where the segments asked for are, and which of them are here at all."""
        wanted = first * self.num_places + end
        at = np.minimum(np.searchsorted(self.keys, wanted), max(0, len(self) - 1))
        here = self.keys[at] == wanted if len(self) else np.zeros(len(wanted), dtype=np.bool_)
        return at, here

    def starting(self, low: int, high: int) -> tuple[slice, Segments]:
        """Those that begin at places ``low`` to ``high``, and where they are; nothing is copied."""
        places, starts = self.runs
        a, b = np.searchsorted(places, [low, high + 1])
        bounds = np.append(starts, len(self))
        part = slice(int(bounds[a]), int(bounds[b]))
        some = Segments(self.num_places, self.first[part], self.end[part])
        vars(some)["runs"] = places[a:b], starts[a:b] - part.start
        return part, some

    @cached_property
    def runs(self) -> tuple[Index, Index]:
        """The places at which segments begin, and where each one's run starts in the arrays."""
        starts = np.flatnonzero(np.diff(self.first, prepend=-1))
        return self.first[starts], starts

    def least(self, values: Array) -> Array:
        """For every place the least value of the segments beginning there, else ``inf``."""
        result = np.full(self.num_places, np.inf)
        places, starts = self.runs
        if len(starts):
            result[places] = np.minimum.reduceat(values, starts)
        return result

    def ends_of(self, values: Array, least: Array) -> Index:
        """For every place the end of the first segment beginning there with the ``least`` value."""
        result = np.zeros(self.num_places, dtype=np.intp)
        hits = np.flatnonzero(values == least[self.first])[::-1]
        result[self.first[hits]] = self.end[hits]  # the last one written is the first one
        return result
