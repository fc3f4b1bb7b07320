"""The best contiguous cut for known segment costs, exactly.

``costs[i, j]`` is the cost of the segment from cut position ``i`` to cut position ``j``; it may
be anything (not additive, not monotone), ``inf`` where the segment must not be used.  Three
dynamic programmes over (segments used, position reached), each O(k m^2) for m positions, settle
the three criteria one after the other:

1. *bottleneck*: ``f[j] = min over i of max(f'[i], costs[i, j])`` gives the smallest possible
   maximum B.
2. *gap*: among the segments costing at most B, ``g[j] = max over i of min(g'[i], costs[i, j])``
   gives the largest possible minimum M.  No cut has a maximum below B, so every cut kept has its
   maximum at exactly B, and the largest minimum is the smallest gap.
3. *bytes across cuts*: among the segments costing between M and B, a shortest path.

The recurrence of step 1 is that of chains-on-chains partitioning (Pinar and Aykanat, 2004)
without their additivity, which pays here: 120 operators in 8 segments take about a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]

_BLOCK = 512
"""Columns handled at once, so that the intermediate stays in the processor's cache."""


@dataclass(frozen=True)
class Solution:
    """Cut positions (indices into the cost matrix, both ends left out) and their value."""

    cuts: tuple[int, ...]
    bottleneck: float
    fastest: float

    @property
    def gap(self) -> float:
        return self.bottleneck - self.fastest


def min_bottleneck(costs: Matrix, num_segments: int, allowed: Mask | None = None) -> float:
    """The smallest maximum over all cuts; ``inf`` if there is none (step 1 alone)."""
    last = costs.shape[0] - 1
    reach = costs[0]
    for segment in range(1, num_segments):
        reach = _min_max(_restrict(reach, allowed, segment - 1, np.inf), costs)
    return float(reach[last])


def max_fastest(
    costs: Matrix, num_segments: int, ceiling: float, allowed: Mask | None = None
) -> float:
    """The largest minimum over the cuts whose maximum is at most ``ceiling``; ``-inf`` if none.

    This is step 2 alone; it differs from step 1 by the order being turned round.
    """
    last = costs.shape[0] - 1
    negated = np.where(costs <= ceiling, -costs, np.inf)
    reach = negated[0]
    for segment in range(1, num_segments):
        reach = _min_max(_restrict(reach, allowed, segment - 1, np.inf), negated)
    return -float(reach[last])


def solve(
    costs: Matrix,
    num_segments: int,
    *,
    allowed: Mask | None = None,
    cut_bytes: NDArray[np.float64] | None = None,
) -> Solution | None:
    """The cut with the lowest bottleneck, then the smallest gap, then the fewest bytes across.

    ``costs``: ``m x m``, only the part above the diagonal is read.  ``allowed``:
    ``(num_segments - 1) x m``, which positions each cut may take.  ``cut_bytes``: length ``m``.
    Further ties go to the leftmost cuts.  ``None`` if every cut has an infinite segment.
    """
    costs = _above_diagonal(costs)
    bottleneck = min_bottleneck(costs, num_segments, allowed)
    if not np.isfinite(bottleneck):
        return None
    fastest = max_fastest(costs, num_segments, bottleneck, allowed)
    usable = (costs <= bottleneck) & (costs >= fastest)
    cuts = cheapest_path(usable, num_segments, allowed=allowed, cut_bytes=cut_bytes)
    assert cuts is not None, "steps 1 and 2 have shown that a path exists"
    return Solution(cuts, bottleneck, fastest)


def cheapest_path(
    usable: Mask,
    num_segments: int,
    *,
    allowed: Mask | None = None,
    cut_bytes: NDArray[np.float64] | None = None,
) -> tuple[int, ...] | None:
    """Cuts using only ``usable`` segments, with the fewest bytes across (step 3 alone)."""
    m = usable.shape[0]
    toll = np.zeros(m) if cut_bytes is None else np.asarray(cut_bytes, dtype=np.float64)
    blocked = np.where(usable, 0.0, np.inf)
    # Backwards, so that reading the choices forwards yields the leftmost cut among equals.
    rest = blocked[:, m - 1]
    choices: list[NDArray[np.intp]] = []
    for segment in range(num_segments - 1, 0, -1):
        onward = _restrict(rest + toll, allowed, segment - 1, np.inf)
        total = blocked + onward[None, :]
        choice = np.argmin(total, axis=1)
        rest = total[np.arange(m), choice]
        choices.append(choice)
    if not np.isfinite(rest[0]):
        return None
    position = 0
    cuts: list[int] = []
    for choice in reversed(choices):
        position = int(choice[position])
        cuts.append(position)
    return tuple(cuts)


def _min_max(reach: Matrix, costs: Matrix) -> Matrix:
    """``min over i of max(reach[i], costs[i, j])`` for every j, i < j."""
    m = costs.shape[0]
    result = np.full(m, np.inf)
    for low in range(1, m, _BLOCK):
        high = min(low + _BLOCK, m)
        block = np.maximum(reach[: high - 1, None], costs[: high - 1, low:high])
        result[low:high] = block.min(axis=0)
    return result


def _restrict(values: Matrix, allowed: Mask | None, cut: int, otherwise: float) -> Matrix:
    return values if allowed is None else np.where(allowed[cut], values, otherwise)


def _above_diagonal(costs: Matrix) -> Matrix:
    m = costs.shape[0]
    return np.where(np.triu(np.ones((m, m), dtype=np.bool_), 1), costs, np.inf)
