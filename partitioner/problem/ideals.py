"""Places as ideals of the graph: sets of operators closed under predecessors.

What has run before a cut is an ideal, and every ideal can be what has run.  So the cuts of a model
in *any* order of its operators are the chains of ideals, and the best one is a path through them
(Tarnawski et al., NeurIPS 2020)::

    operators        a ─► b          ideals   {}  {a}  {a,b}  {a,c}  {a,b,c}
                     └──► c
                                     {a} ─► {a,b} ─► {a,b,c}     b first
                                     {a} ─► {a,c} ─► {a,b,c}     c first

Their number grows exponentially with parallel branches.  :class:`Ideals` works for any family of
them that has the empty one and the whole: all there are, or those that a few orders pass through.
The same operators can lie between several pairs of ideals (``b`` above, twice); they are one
segment, compiled and measured once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from partitioner.problem.arrays import Array, Index, Mask
from partitioner.problem.bounds import Packing, RowTable
from partitioner.problem.ranges import Range, pairs_of, runs_of, set_of
from partitioner.problem.segments import PART, Segments

Words = NDArray[np.uint64]

_WORD = 64
_TRIES = 8

_MOST_CONTAINED = 300
"""Ideals up to which upper bounds from containing segments are worth their cost; lower bounds and
proofs do without them."""


class Ideals:
    """A family of ideals, numbered by size; :class:`~partitioner.problem.Places` of a problem.

    ``sets``: operators as bits, the empty set and that of all ``num_operators`` among them;
    ``complete``: whether these are all ideals of the graph.
    """

    def __init__(self, sets: Iterable[int], num_operators: int, *, complete: bool) -> None:
        self.num_operators = num_operators
        self.complete = complete
        self.sets = tuple(sorted(set(sets), key=lambda s: (s.bit_count(), s)))
        if self.sets[0] or self.sets[-1] != (1 << num_operators) - 1:
            raise ValueError("the empty ideal or the whole is missing")
        self._words = np.array([_words(s, num_operators) for s in self.sets], dtype=np.uint64)
        m = len(self.sets)
        within = np.zeros((m, m), dtype=np.bool_)
        for i, words in enumerate(self._words):
            within[i, i:] = ~(words & ~self._words[i:]).any(axis=1)
        self.within = within
        """``within[i, j]``: ideal ``i`` is contained in ideal ``j`` or is the same."""
        self._number()

    def _number(self) -> None:
        """Give the same number to pairs with the same operators between them.

        Operators get random numbers; the sum over those between two ideals is the difference of
        the ideals' sums.  That equal sums mean equal operators is checked.
        """
        first, end = np.nonzero(self.within)
        apart = first != end
        first, end = first[apart], end[apart]
        for seed in range(_TRIES):
            random = np.random.default_rng(seed)
            weights = random.integers(0, 2**64, self.num_operators, dtype=np.uint64)
            members = self._unpacked(self._words)
            sums = np.where(members, weights[None, :], np.uint64(0)).sum(axis=1, dtype=np.uint64)
            self._sums, canonical, number = np.unique(
                sums[end] - sums[first], return_index=True, return_inverse=True
            )
            alike = first[canonical], end[canonical]
            if all(
                (
                    self._between(first[p], end[p]) == self._between(*(a[number[p]] for a in alike))
                ).all()
                for p in (slice(low, low + PART) for low in range(0, len(first), PART))
            ):
                break
        else:
            raise AssertionError("random sums keep colliding")
        self._weights = weights
        self._first, self._end = first, end
        self._canonical = canonical
        self.number = np.full(self.within.shape, -1, dtype=np.int32)
        """By pair of places: the number of the segment between them, -1 if there is none."""
        self.number[first, end] = number

    def _between(self, first: Index, end: Index) -> Words:
        """The operators between places as bits."""
        return np.asarray(self._words[end] & ~self._words[first])

    def __len__(self) -> int:
        return len(self.sets)

    @property
    def distinct_segments(self) -> int:
        return len(self._canonical)

    def _unpacked(self, words: Words) -> Mask:
        octets = words.astype("<u8").view(np.uint8)
        bits = np.unpackbits(octets, axis=1, bitorder="little")
        return bits[:, : self.num_operators].astype(np.bool_)

    @property
    def contents(self) -> Mask:
        """Which operators (columns) each ideal holds."""
        return self._unpacked(self._words)

    def segments(self) -> Segments:
        return Segments(len(self), self._first, self._end)

    def parts(self, last: Index | None = None) -> Iterator[Segments]:
        for low in range(0, len(self._first), PART):
            first, end = self._first[low : low + PART], self._end[low : low + PART]
            part = Segments(len(self), first, end)
            yield part if last is None else part.where(end <= last[first])

    def prepared(self, shares: Array) -> Array:
        """Sums over each ideal's operators, behind the numbers themselves."""
        return np.concatenate([shares, self.contents.astype(np.float64) @ shares])

    def amount(self, prepared: Array, first: Index, end: Index) -> Array:
        sums = prepared[self.num_operators :]
        return np.asarray(sums[end] - sums[first])

    def overlap(self, prepared: Array, first: Index, end: Index) -> Array:
        contents = self.contents.astype(np.float64)
        shares = prepared[: self.num_operators]
        return np.asarray(contents @ ((contents[end] - contents[first]) * shares).T)

    def in_file_order(self, segments: Segments) -> Mask:
        """Which of the segments lie between two ideals that are beginnings of the file."""
        begins = np.array([s & (s + 1) == 0 for s in self.sets])
        return np.asarray(begins[segments.first] & begins[segments.end])

    def operators(self, first: int, end: int) -> Range:
        return runs_of(self.sets[end] & ~self.sets[first])

    def find(self, segment: Range) -> tuple[int, int] | None:
        if segment[-1] > self.num_operators:
            return None
        sums = self._weight_before
        total = sum(sums[end] - sums[first] for first, end in pairs_of(segment)) % (1 << _WORD)
        at = int(self._sums.searchsorted(np.uint64(total)))
        pair = self._canonical[min(at, self.distinct_segments - 1)]
        first, end = int(self._first[pair]), int(self._end[pair])
        alike = self.sets[end] & ~self.sets[first] == set_of(segment)
        return (first, end) if alike else None

    @cached_property
    def _weight_before(self) -> list[int]:
        """By operator the random numbers of all that the file has before it, added up."""
        return [0, *accumulate(self._weights.tolist())]

    @cached_property
    def _pairs_of(self) -> tuple[Index, Index]:
        """Pairs ordered by the number of their segment, and where each number's begin."""
        number = self.number[self._first, self._end]
        order = np.argsort(number, kind="stable")
        starts = np.searchsorted(number[order], np.arange(self.distinct_segments + 1))
        return order, starts

    def wherever(self, first: Index, end: Index) -> tuple[Index, Index, Index]:
        order, starts = self._pairs_of
        numbers = self.number[first, end]
        counts = starts[numbers + 1] - starts[numbers]
        which = np.repeat(np.arange(len(first)), counts)
        behind = np.cumsum(counts) - counts  # of each segment, how many pairs come before
        at = order[np.arange(len(which)) + (starts[numbers] - behind)[which]]
        return self._first[at], self._end[at], which

    def around(self, segments: Segments, first: int, end: int) -> Mask:
        result = np.zeros(len(segments), dtype=np.bool_)
        ours = np.array([first]), np.array([end])
        for i, j in zip(*self.wherever(*ours)[:2], strict=True):
            result |= self.within[segments.first, i] & self.within[j, segments.end]
        return result

    @cached_property
    def next_larger(self) -> tuple[tuple[int, ...], ...]:
        """By ideal: the smallest ones containing it, none of which contains another."""
        result = []
        for i in range(len(self)):
            left = self.within[i].copy()
            left[i] = False
            found: list[int] = []
            while left.any():
                j = int(left.argmax())
                found.append(j)
                left &= ~self.within[j]
            result.append(tuple(found))
        return tuple(result)

    @cached_property
    def next_smaller(self) -> tuple[tuple[int, ...], ...]:
        """By ideal: the largest ones in it, none of which is in another."""
        result: list[list[int]] = [[] for _ in range(len(self))]
        for i, larger in enumerate(self.next_larger):
            for j in larger:
                result[j].append(i)
        return tuple(tuple(smaller) for smaller in result)

    def pack(self, first: Index, end: Index, inside: Array) -> Packing:
        """As :func:`partitioner.problem.bounds.pack`, with disjoint parts one behind the other::

        F[a, b] = max(F[c, b] for the next larger c, inside(a, e) + F[e, b] for measured (a, e))

        Where nothing measured starts, all that have the same ones next to them have the same row.
        """
        starts, ends, which = self.wherever(first, end)
        starting: dict[int, list[tuple[int, int]]] = {}
        for at in np.argsort(ends, kind="stable"):
            starting.setdefault(int(starts[at]), []).append((int(ends[at]), int(which[at])))
        from_parts = np.zeros(len(first))
        rows = [np.zeros(len(self))]
        row_of = [0] * len(self)
        alike: dict[frozenset[int], int] = {}
        for a in range(len(self) - 2, -1, -1):
            larger = frozenset([row_of[c] for c in self.next_larger[a]])
            if a not in starting and (len(larger) == 1 or larger in alike):
                row_of[a] = alike.get(larger, max(larger))
                continue
            row = np.zeros(len(self))
            for number in larger:
                np.maximum(row, rows[number], out=row)
            for e, part in starting.get(a, ()):
                from_parts[part] = max(from_parts[part], row[e])
                with_it = np.where(self.within[e], inside[part] + rows[row_of[e]], 0.0)
                np.maximum(row, with_it, out=row)
            row_of[a] = len(rows)
            if a not in starting:
                alike[larger] = len(rows)
            rows.append(row)
        return Packing(RowTable(np.array(row_of), np.stack(rows)), from_parts)

    def smallest_container(self, first: Index, end: Index, inside: Array) -> RowTable:
        """As :func:`~partitioner.problem.bounds.smallest_container`; nothing for many ideals."""
        if len(self) > _MOST_CONTAINED:
            return RowTable(np.zeros(len(self), dtype=np.intp), np.full((1, len(self)), np.inf))
        starts, ends, which = self.wherever(first, end)
        table = np.full((len(self), len(self)), np.inf)
        np.minimum.at(table, (starts, ends), inside[which])
        for i in range(len(self)):
            for smaller in self.next_smaller[i]:
                np.minimum(table[i], table[smaller], out=table[i])
        turned = np.ascontiguousarray(table.T)
        for j in range(len(self) - 1, -1, -1):
            for larger in self.next_larger[j]:
                np.minimum(turned[j], turned[larger], out=turned[j])
        return RowTable(np.arange(len(self)), np.ascontiguousarray(turned.T))


def _words(operators: int, num_operators: int) -> Sequence[int]:
    count = max(1, -(-num_operators // _WORD))
    mask = (1 << _WORD) - 1
    return [(operators >> (_WORD * i)) & mask for i in range(count)]
