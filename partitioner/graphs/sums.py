"""Sums over operators and tensors for many segments at once: along a line, and between ideals.

Both know sums of two kinds.  *Inside*: of what the operators of a segment contribute, each unless
it is blocked (runs on the CPU), which depends on where the segment begins.  *Across*: of the
tensors that cross its boundary (:class:`~partitioner.graphs.crossings.Crossing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Protocol

import numpy as np

from partitioner.graphs.crossings import Crossing
from partitioner.problem import Array, Ideals, Index, Mask

_STRIDE = 128
"""Steps between two rows of a table of sums along a line: of as much time as a look-up costs there
is memory to be saved."""


class Sums(Protocol):
    """Sums of several columns."""

    def at(self, first: Index, end: Index) -> Array:
        """A row for each segment."""
        ...


class SumsOnLine:
    """Sums over steps: ``sizes`` (columns) that count for segments that begin at place ``start``
    or behind and end at ``end`` or behind, less what counts for ``first == end``.

    The table of sums by first place and end is kept for every so many steps along the first
    places; a row between is looked up in the one before, and among the steps since.  So what is
    kept grows with the steps, of which there are some for each operator, not with the segments.
    """

    def __init__(self, num_places: int, start: Index, end: Index, sizes: Array) -> None:
        m, columns = num_places, sizes.shape[1]
        count = np.cumsum(np.bincount(start, minlength=m))
        is_kept = np.diff(count // _STRIDE, prepend=-1) > 0
        kept = np.flatnonzero(is_kept)
        self._row_of = np.cumsum(is_kept) - 1
        row = np.searchsorted(kept, start)
        self._table = np.zeros((len(kept), m, columns))
        counts = row < len(kept)
        np.add.at(self._table, (row[counts], end[counts]), sizes[counts])
        np.cumsum(self._table, axis=0, out=self._table)
        np.cumsum(self._table, axis=1, out=self._table)
        # Steps behind the row kept last, for each first place from theirs to the next row.
        lasts = np.append(kept, m)[row] - start
        step = np.repeat(np.arange(len(start)), lasts)
        place = start[step] + np.arange(len(step)) - np.repeat(np.cumsum(lasts) - lasts, lasts)
        key = place * m + end[step]
        order = np.argsort(key, kind="stable")
        self._num_places, self._keys = m, key[order]
        self._since = np.concatenate(
            [np.zeros((1, columns)), np.cumsum(sizes[step[order]], axis=0)]
        )
        self._starts = np.searchsorted(self._keys, np.arange(m) * m)
        every = np.arange(m)
        self._own: Array | None = None
        own = self.at(every, every)
        self._own = own if own.any() else None

    def at(self, first: Index, end: Index) -> Array:
        rows = self._table.reshape(-1, self._table.shape[2])
        result: Array = rows.take(self._row_of[first] * self._num_places + end, axis=0)
        if len(self._keys):
            upto = np.searchsorted(self._keys, first * self._num_places + end, side="right")
            result += self._since[upto]
            result -= self._since[self._starts[first]]
        if self._own is not None:
            result -= self._own[first]
        return result

    @classmethod
    def inside(cls, done: Mask, clear: Mask, values: Array) -> SumsOnLine:
        """Of ``values`` (by operator; columns) of the operators that are ``clear``, as tables by
        operator and place tell."""
        some = np.flatnonzero(clear.any(axis=1))
        start, end = clear[some].argmax(axis=1), done[some].argmax(axis=1)
        return cls(done.shape[1], start, end, values[some])

    @classmethod
    def across(cls, num_places: int, sides: Sequence[Iterable[Crossing]]) -> SumsOnLine:
        """A column for each side of the boundary."""
        steps = [
            (start, end, side, begins * stays * crossing.size_bytes)
            for side, crossings in enumerate(sides)
            for crossing in crossings
            for start, begins in _turns(crossing.starts)
            for end, stays in _turns(crossing.ends)
        ]
        start, end, side, size = np.array(steps, dtype=np.intp).reshape(-1, 4).T
        return cls(num_places, start, end, np.eye(len(sides))[side] * size[:, None])


def _turns(mask: Mask) -> list[tuple[int, int]]:
    """Where a mask becomes true (1) and false (-1)."""
    places = np.flatnonzero(np.diff(mask, prepend=False)).tolist()
    return list(zip(places, cycle((1, -1)), strict=False))


class SumsBetweenIdeals:
    """Sums inside segments: differences along the sums by place, one row of them for each way in
    which operators can be blocked."""

    def __init__(self, ideals: Ideals, clear: Mask, values: Array) -> None:
        packed = np.packbits(clear, axis=0)
        _, examples, ways = np.unique(packed, axis=1, return_index=True, return_inverse=True)
        self._way = ways
        counting = values[:, None, :] * clear[:, examples, None]
        sums = ideals.contents.astype(np.float64) @ counting.reshape(len(values), -1)
        self._sums = sums.reshape(len(ideals), len(examples), -1)

    def at(self, first: Index, end: Index) -> Array:
        way = self._way[first]
        return np.asarray(self._sums[end, way] - self._sums[first, way])


class TransfersBetweenIdeals:
    """Bytes across the sides of the boundary, and the largest tensor there, as tables."""

    def __init__(self, num_places: int, sides: Sequence[Iterable[Crossing]]) -> None:
        shape = len(sides), num_places, num_places
        self._bytes = np.zeros(shape, dtype=np.float32)
        self._largest = np.full(shape, -1, dtype=np.int32)
        for sizes, largest, crossings in zip(self._bytes, self._largest, sides, strict=True):
            # Of equally large ones the first one counts.
            for crossing in sorted(crossings, key=lambda c: (c.size_bytes, -c.tensor)):
                where = np.ix_(np.flatnonzero(crossing.starts), np.flatnonzero(crossing.ends))
                sizes[where] += crossing.size_bytes
                largest[where] = crossing.tensor

    def at(self, first: Index, end: Index) -> Array:
        return self._bytes[:, first, end].T.astype(np.float64)

    def largest(self, first: Index, end: Index) -> tuple[Index, Index]:
        """On each of two sides, -1 where nothing crosses."""
        entering, leaving = self._largest[:, first, end].astype(np.intp)
        return entering, leaving
