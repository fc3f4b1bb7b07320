"""What measured segments say about unmeasured ones.

**Assumption.**  The latency of a segment is a share owed to its boundary (a request, bytes in,
bytes out) and a share for the work inside, and the work inside a segment is at least the sum of
the work inside disjoint segments it contains::

    inside(S) >= inside(P1) + inside(P2) + ...          P1, P2, ... disjoint, within S

It holds for computing times, for operators on the CPU and for parameters beyond an on-chip
capacity s, because ``max(0, x + y - s) >= max(0, x - s) + max(0, y - s)``.  It does not hold for
whole latencies: a short segment sending a large tensor can take longer than a long segment
containing it, because transfers often outweigh computing.  That is why the boundary's share is
taken off first: at rates fitted to the measurements, or, where nothing is known of the
boundaries, as one constant that no latency measured is below.

**Guard.**  The assumption is checked for every measured segment against all measured segments
within it.  The worst violation is reported and, with a margin, taken off every bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partitioner.problem.arrays import Array, Index, Mask


@dataclass(frozen=True, eq=False)
class RowTable:
    """A table over pairs of places most of whose rows are equal: ``rows[row_of[i], j]``."""

    row_of: Index
    rows: Array

    def at(self, first: Index, end: Index) -> Array:
        """The entries for segments."""
        return np.asarray(self.rows.take(self.entry(first, end)))

    def entry(self, first: Index, end: Index) -> Index:
        """Where those are in :attr:`rows`, one row behind the other."""
        return np.asarray(self.row_of[first] * self.rows.shape[1] + end)

    def last(self, wanted: Mask) -> Index:
        """By first place the last end that is ``wanted``, a mask over :attr:`rows`; 0 if none."""
        ends = np.arange(wanted.shape[1])
        return np.asarray((wanted * ends).max(axis=1)[self.row_of])


@dataclass(frozen=True)
class Packing:
    """How much measured inside work fits into each segment, in disjoint parts.

    ``inside``: the largest total for each segment.  ``from_parts``: for each measured segment the
    largest total of strictly smaller ones within it, for the guard to compare with.
    """

    inside: RowTable
    from_parts: Array


def pack(num_places: int, first: Index, end: Index, inside: Array) -> Packing:
    """Fill every segment with disjoint measured segments of the largest total ``inside``.

    ``F[a, b] = max(F[a+1, b], inside(a, e) + F[e, b] for all measured (a, e), e <= b)``
    row by row from the last; O(m measured), for rows at which nothing measured starts are equal to
    the next.
    """
    from_parts = np.zeros(len(first))
    row_of = np.zeros(num_places, dtype=np.intp)
    rows = [np.zeros(num_places)]
    starting: dict[int, list[int]] = {}
    for part in np.argsort(end, kind="stable"):  # shorter ones first
        starting.setdefault(int(first[part]), []).append(int(part))
    at = num_places - 1
    for a in sorted(starting, reverse=True):
        row_of[a + 1 : at + 1] = len(rows) - 1
        at = a
        row = rows[-1].copy()
        for part in starting[a]:
            e = int(end[part])
            from_parts[part] = row[e]
            row[e:] = np.maximum(row[e:], inside[part] + rows[row_of[e]][e:])
        rows.append(row)
        row_of[a] = len(rows) - 1
    row_of[:at] = len(rows) - 1
    return Packing(RowTable(row_of, np.stack(rows)), from_parts)


def smallest_container(num_places: int, first: Index, end: Index, inside: Array) -> RowTable:
    """For every segment the least ``inside`` of a measured one containing it, else ``inf``."""
    row_of = np.zeros(num_places, dtype=np.intp)
    rows = [np.full(num_places, np.inf)]
    order = np.argsort(first, kind="stable")
    for part in order:
        row = rows[-1].copy()
        e = int(end[part])
        row[: e + 1] = np.minimum(row[: e + 1], inside[part])
        rows.append(row)
        row_of[first[part] :] = len(rows) - 1
    return RowTable(row_of, np.stack(rows))
