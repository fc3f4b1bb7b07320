"""The best contiguous cut for known segment costs, exactly.

``costs[i, j]`` is the cost of the segment from cut position ``i`` to cut position ``j``; it may be
anything (not additive, not monotone), ``inf`` where the segment must not be used.  Dynamic
programmes over (segments used, position reached) settle three criteria one after the other: the
lowest bottleneck, the smallest gap, the fewest bytes across cuts; see
:mod:`partitioner.solving.paths`.

The recurrence is that of chains-on-chains partitioning (Pinar and Aykanat, 2004) without their
additivity, which pays here: 120 operators in 8 segments take about a millisecond.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from partitioner.problem import Mask, Segments
from partitioner.solving.paths import (
    Solution,
    best_cuts,
    cheapest_cuts,
    greatest_fastest,
    least_bottleneck,
)

Matrix = NDArray[np.float64]


def min_bottleneck(costs: Matrix, num_segments: int, allowed: Mask | None = None) -> float:
    """The smallest maximum over all cuts; ``inf`` if there is none."""
    return least_bottleneck(*_flat(costs), num_segments, allowed)


def max_fastest(
    costs: Matrix, num_segments: int, ceiling: float, allowed: Mask | None = None
) -> float:
    """The largest minimum over the cuts whose maximum is at most ``ceiling``; ``-inf`` if none."""
    return greatest_fastest(*_flat(costs), num_segments, ceiling, allowed)


def solve(
    costs: Matrix,
    num_segments: int,
    *,
    allowed: Mask | None = None,
    cut_bytes: NDArray[np.float64] | None = None,
) -> Solution | None:
    """The best cut into ``num_segments`` segments, ``None`` if every one uses a forbidden segment.

    ``costs`` is ``m x m`` for m positions from the model's start to its end; only entries above
    the diagonal count.  ``allowed`` (``num_segments - 1 x m``) says where each cut may be,
    ``cut_bytes`` (m) what crosses it; without them every position will do, and all cost the same.
    """
    return best_cuts(*_flat(costs), num_segments, allowed=allowed, tolls=cut_bytes)


def cheapest_path(
    usable: Mask,
    num_segments: int,
    *,
    allowed: Mask | None = None,
    cut_bytes: NDArray[np.float64] | None = None,
) -> tuple[int, ...] | None:
    """Cuts using only ``usable`` segments, with the fewest bytes across."""
    segments, _ = _flat(np.where(usable, 0.0, np.inf))
    return cheapest_cuts(segments, num_segments, allowed=allowed, tolls=cut_bytes)


def _flat(costs: Matrix) -> tuple[Segments, Matrix]:
    first, end = np.nonzero(np.triu(np.isfinite(costs), 1))
    return Segments(costs.shape[0], first, end), costs[first, end]
