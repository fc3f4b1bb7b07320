"""What the best cut is worth, without the cut: over one kind of device or several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.problem import Array, Mask, Segments
from partitioner.solving.assignment import assigned_greatest_fastest, assigned_least_bottleneck
from partitioner.solving.paths import greatest_fastest, least_bottleneck


def best_value(
    segments: Segments,
    costs: Sequence[Array],
    counts: Sequence[int],
    num_segments: int,
    allowed: Mask | None = None,
    ceiling: float | None = None,
) -> tuple[float, float]:
    """The least bottleneck, and the most that the fastest segment of such a cut can take.

    ``costs``: of all ``segments``, for each kind of device; ``counts``: how many there are of
    each.  With a ``ceiling``, that is taken for the bottleneck.  ``inf`` and ``-inf`` if there is
    no cut.
    """
    least = ceiling
    if len(costs) == 1:
        if least is None:
            least = least_bottleneck(segments, costs[0], num_segments, allowed)
        return least, greatest_fastest(segments, costs[0], num_segments, least, allowed)
    tables = [np.full((segments.num_places,) * 2, np.inf) for _ in costs]
    for table, values in zip(tables, costs, strict=True):
        table[segments.first, segments.end] = values
    if least is None:
        least = assigned_least_bottleneck(tables, counts, num_segments, allowed)
    return least, assigned_greatest_fastest(tables, counts, num_segments, least, allowed)
