"""Where a model may be cut, and which segments lie between such places.

A *place* is a set of operators that can run before all others.  Along one order of the operators
the places are positions in it, and there is a segment between any two (:class:`Line`).  Where
branches may run in either order, places are ideals of the graph, and there is a segment between
two of them only if one contains the other (:class:`partitioner.problem.Ideals`).  Either way
places are numbered so that a segment leads from a lower to a higher one, which is all that
:mod:`partitioner.solving.paths` needs.

A segment is known to oracles by its operators: half open runs in the order of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from partitioner.problem.arrays import Array, Index, Mask
from partitioner.problem.bounds import Packing, RowTable, pack, smallest_container
from partitioner.problem.ranges import Range
from partitioner.problem.segments import PART, Segments


class Places(Protocol):
    """Places where a cut may be; the first is the model's beginning, the last its end."""

    def __len__(self) -> int: ...

    @property
    def num_operators(self) -> int: ...

    @property
    def contents(self) -> Mask:
        """Which operators (columns) come before each place."""
        ...

    @property
    def distinct_segments(self) -> int:
        """Different sets of operators between two places."""
        ...

    def segments(self) -> Segments:
        """All segments, ordered by their first place, then by their end."""
        ...

    def parts(self, last: Index | None = None) -> Iterator[Segments]:
        """The same part by part, at least one, so that never all of them have to be held.

        ``last``: of those from each place, only the ones that end there or before.
        """
        ...

    def operators(self, first: int, end: int) -> Range:
        """The operators between two places."""
        ...

    def find(self, segment: Range) -> tuple[int, int] | None:
        """Two places between which the segment lies, always the same two; ``None`` if none do."""
        ...

    def wherever(self, first: Index, end: Index) -> tuple[Index, Index, Index]:
        """All pairs of places with the same segments between them.

        Given segments by one pair each; returns first and end places, and of which segment given.
        """
        ...

    def around(self, segments: Segments, first: int, end: int) -> Mask:
        """Which of the segments contain the one given."""
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

    def pack(self, first: Index, end: Index, inside: Array) -> Packing:
        """See :func:`partitioner.problem.bounds.pack`."""
        ...

    def smallest_container(self, first: Index, end: Index, inside: Array) -> RowTable:
        """See :func:`partitioner.problem.bounds.smallest_container`."""
        ...


@dataclass(frozen=True)
class Line:
    """Positions in the order of the file, ascending, from 0 to the number of operators."""

    positions: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def num_operators(self) -> int:
        return self.positions[-1]

    @property
    def contents(self) -> Mask:
        return np.less.outer(np.arange(self.num_operators), self.positions).T

    @property
    def distinct_segments(self) -> int:
        return len(self) * (len(self) - 1) // 2

    @cached_property
    def _index(self) -> dict[int, int]:
        return {position: i for i, position in enumerate(self.positions)}

    def segments(self) -> Segments:
        return self._segments

    @cached_property
    def _segments(self) -> Segments:
        return Segments.all(len(self))

    def parts(self, last: Index | None = None) -> Iterator[Segments]:
        m = len(self)
        starts = np.arange(m)
        lengths = np.full(m, m - 1) - starts if last is None else np.maximum(last - starts, 0)
        before = np.concatenate([[0], np.cumsum(lengths)])
        low = 0
        while low < m:
            high = int(np.searchsorted(before, before[low] + PART, side="right")) - 1
            high = max(high, low + 1)
            first = np.repeat(starts[low:high], lengths[low:high])
            ahead = np.arange(before[low], before[high]) - np.repeat(
                before[low:high], lengths[low:high]
            )
            yield Segments(m, first, first + 1 + ahead)
            low = high

    def operators(self, first: int, end: int) -> Range:
        return self.positions[first], self.positions[end]

    def find(self, segment: Range) -> tuple[int, int] | None:
        first, end = self._index.get(segment[0]), self._index.get(segment[-1])
        return None if len(segment) != 2 or first is None or end is None else (first, end)

    def wherever(self, first: Index, end: Index) -> tuple[Index, Index, Index]:
        return first, end, np.arange(len(first))

    def around(self, segments: Segments, first: int, end: int) -> Mask:
        return np.asarray((segments.first <= first) & (segments.end >= end))

    def prepared(self, shares: Array) -> Array:
        sums: Array = np.concatenate([[0.0], np.cumsum(shares)])[list(self.positions)]
        return sums

    def amount(self, prepared: Array, first: Index, end: Index) -> Array:
        return np.asarray(prepared[end] - prepared[first])

    def overlap(self, prepared: Array, first: Index, end: Index) -> Array:
        return np.clip(prepared[:, None], prepared[first], prepared[end])

    def pack(self, first: Index, end: Index, inside: Array) -> Packing:
        return pack(len(self), first, end, inside)

    def smallest_container(self, first: Index, end: Index, inside: Array) -> RowTable:
        return smallest_container(len(self), first, end, inside)


def everywhere(places: Places, pairs: Sequence[tuple[int, int]]) -> tuple[Segments, Index]:
    """The segments given by one pair of places each, wherever they can be, and which each one is.

    A value for each pair becomes one for each segment by taking it at these numbers.
    """
    first, end, which = places.wherever(*np.array(pairs, dtype=np.intp).reshape(-1, 2).T)
    order = np.lexsort((end, first))
    return Segments(len(places), first[order], end[order]), which[order]
