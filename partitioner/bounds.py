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
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Packing:
    """How much measured inside work fits into each segment, in disjoint parts.

    ``inside``: ``m x m``, the largest total for each segment.  ``from_parts``: for each measured
    segment the largest total of strictly smaller ones within it, for the guard to compare with.
    """

    inside: Array
    from_parts: Array


def pack(num_positions: int, first: Index, end: Index, inside: Array) -> Packing:
    """Fill every segment with disjoint measured segments of the largest total ``inside``.

    ``F[a, b] = max(F[a+1, b], F[a, b-1], inside(a, e) + F[e, b] for all measured (a, e), e <= b)``
    row by row from the last; O(m (m + measured)).
    """
    m = num_positions
    table = np.zeros((m, m))
    from_parts = np.zeros(len(first))
    starting: list[list[int]] = [[] for _ in range(m)]
    for part in np.argsort(end, kind="stable"):
        starting[first[part]].append(int(part))
    for a in range(m - 2, -1, -1):
        row = table[a + 1].copy()
        for part in starting[a]:  # shorter ones first
            e = int(end[part])
            from_parts[part] = row[e]
            row[e:] = np.maximum(row[e:], inside[part] + table[e, e:])
        table[a] = row
    return Packing(table, from_parts)


def smallest_container(num_positions: int, first: Index, end: Index, inside: Array) -> Array:
    """For every segment the least ``inside`` of a measured one containing it, else ``inf``."""
    table = np.full((num_positions, num_positions), np.inf)
    np.minimum.at(table, (first, end), inside)
    table = np.minimum.accumulate(table, axis=0)
    result: Array = np.minimum.accumulate(table[:, ::-1], axis=1)[:, ::-1]
    return result
