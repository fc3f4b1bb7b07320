"""Chains of segments: the exact solutions, over whatever segments are still in question.

A *place* is where a cut may be (a position between operators), numbered so that every segment
leads from a lower place to a higher one; place 0 is the model's beginning, the last place its
end.  A cut into ``k`` segments is a path of ``k`` segments from the first place to the last::

    rest[i] = the best way from place i to the end in so many segments
            = best over segments (i, j) of  worse of cost(i, j) and rest'[j]

taken ``k - 1`` times, O(k x segments).  Segments are flat arrays, not tables over all pairs of
places: of thousands of operators, few segments can be part of a good cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partitioner.problem import Array, Index, Mask, Segments


@dataclass(frozen=True)
class Solution:
    """Cuts (places, both ends left out) and their value."""

    cuts: tuple[int, ...]
    bottleneck: float
    fastest: float

    @property
    def gap(self) -> float:
        return self.bottleneck - self.fastest


def least_bottleneck(
    segments: Segments, costs: Array, num_segments: int, allowed: Mask | None = None
) -> float:
    """The smallest maximum over all cuts; ``inf`` if there is none."""
    rest = segments.least(np.where(segments.end == segments.num_places - 1, costs, np.inf))
    for cut in range(num_segments - 2, -1, -1):
        onward = _restrict(rest, allowed, cut)
        rest = segments.least(np.maximum(costs, onward[segments.end]))
    return float(rest[0])


def greatest_fastest(
    segments: Segments,
    costs: Array,
    num_segments: int,
    ceiling: float,
    allowed: Mask | None = None,
) -> float:
    """The largest minimum over the cuts whose maximum is at most ``ceiling``; ``-inf`` if none.

    The same with the order turned round.
    """
    usable = costs <= ceiling
    return -least_bottleneck(segments.where(usable), -costs[usable], num_segments, allowed)


def cheapest_cuts(
    segments: Segments,
    num_segments: int,
    *,
    allowed: Mask | None = None,
    tolls: Array | None = None,
) -> tuple[int, ...] | None:
    """Cuts between the segments given with the least sum of ``tolls``, leftmost among equals."""
    if len(segments) == 0:
        return None
    toll = np.zeros(segments.num_places) if tolls is None else tolls
    last = segments.num_places - 1
    rest = np.full(segments.num_places, np.inf)
    rest[segments.first[segments.end == last]] = 0.0
    choices: list[Index] = []
    for cut in range(num_segments - 2, -1, -1):
        onward = _restrict(rest + toll, allowed, cut)[segments.end]
        rest = segments.least(onward)
        choices.append(segments.end[segments.least_at(onward, rest)])
    if not np.isfinite(rest[0]):
        return None
    place = 0
    cuts: list[int] = []
    for choice in reversed(choices):
        place = int(choice[place])
        cuts.append(place)
    return tuple(cuts)


def best_cuts(
    segments: Segments,
    costs: Array,
    num_segments: int,
    *,
    allowed: Mask | None = None,
    tolls: Array | None = None,
) -> Solution | None:
    """The lowest bottleneck, then the smallest gap, then the least sum of tolls.

    No cut has a maximum below the bottleneck B, so each one kept has its maximum at exactly B, and
    the largest minimum M makes the smallest gap.  ``None`` if no cut has finite costs only.
    """
    bottleneck = least_bottleneck(segments, costs, num_segments, allowed)
    if not np.isfinite(bottleneck):
        return None
    fastest = greatest_fastest(segments, costs, num_segments, bottleneck, allowed)
    usable = (costs <= bottleneck) & (costs >= fastest)
    cuts = cheapest_cuts(segments.where(usable), num_segments, allowed=allowed, tolls=tolls)
    assert cuts is not None, "both values were found on a path"
    return Solution(cuts, bottleneck, fastest)


def on_some_path(segments: Segments, num_segments: int, allowed: Mask | None = None) -> Mask:
    """Which of the segments are part of any cut made of them alone."""
    places = segments.num_places
    reached = np.zeros((num_segments + 1, places), dtype=np.bool_)
    leads = np.zeros((num_segments + 1, places), dtype=np.bool_)
    reached[0, 0] = leads[num_segments, places - 1] = True
    for cut in range(1, num_segments):
        reached[cut, segments.end[reached[cut - 1][segments.first]]] = True
        if allowed is not None:
            reached[cut] &= allowed[cut - 1]
    for cut in range(num_segments - 1, 0, -1):
        leads[cut, segments.first[leads[cut + 1][segments.end]]] = True
        leads[cut] &= reached[cut]
    result = np.zeros(len(segments), dtype=np.bool_)
    for segment in range(num_segments):
        result |= reached[segment][segments.first] & leads[segment + 1][segments.end]
    return result


def _restrict(values: Array, allowed: Mask | None, cut: int) -> Array:
    return values if allowed is None else np.where(allowed[cut], values, np.inf)
