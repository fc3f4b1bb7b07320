"""Which cut is worth measuring next, given what is believed of the segments: exact solutions each.

A segment is *hopeful* if it may be part of a cut better than the best one, as far as its lower and
upper bounds tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partitioner.beliefs import Beliefs
from partitioner.problem import Array, Mask, Segments
from partitioner.solving import Solution, cheapest_cuts, greatest_fastest, least_bottleneck


@dataclass(frozen=True, eq=False)
class Hopes:
    """What all of them need to know of the problem: how many segments, where each cut may be, and
    what crosses a cut at each place."""

    num_segments: int
    allowed: Mask | None
    tolls: Array | None

    def bound(self, beliefs: Beliefs) -> float:
        """A latency that no bottleneck of a cut into these segments is below."""
        return least_bottleneck(beliefs.segments, beliefs.lower, self.num_segments, self.allowed)

    def fastest_expected(self, beliefs: Beliefs, hopeful: Mask) -> tuple[int, ...] | None:
        """The cut expected to have the lowest bottleneck among those of hopeful segments."""
        segments, expected = beliefs.segments.where(hopeful), beliefs.expected[hopeful]
        bottleneck = least_bottleneck(segments, expected, self.num_segments, self.allowed)
        if not np.isfinite(bottleneck):
            return None
        usable = expected <= bottleneck
        return self._cheapest(segments.where(usable))

    def most_even_expected(self, beliefs: Beliefs, best: Solution) -> tuple[int, ...] | None:
        """The cut expected to have the smallest gap among those that could beat ``best``'s."""
        hopeful = (beliefs.lower <= best.bottleneck) & (beliefs.upper > best.fastest)
        segments = beliefs.segments.where(hopeful)
        expected = np.minimum(beliefs.expected[hopeful], best.bottleneck)
        fastest = self._fastest(segments, expected, best.bottleneck)
        if not np.isfinite(fastest):
            return None
        return self._cheapest(segments.where(expected >= fastest))

    def fewest_bytes_hoped(self, beliefs: Beliefs, best: Solution) -> tuple[int, ...] | None:
        """The cut with the fewest bytes across that could be as fast and as even as ``best``."""
        if self.tolls is None:
            return None
        hopeful = (beliefs.lower <= best.bottleneck) & (beliefs.upper >= best.fastest)
        cuts = self._cheapest(beliefs.segments.where(hopeful))
        if cuts is None or self.tolls[list(cuts)].sum() >= self.tolls[list(best.cuts)].sum():
            return None
        return cuts

    def least_gap(self, beliefs: Beliefs, best: Solution) -> int:
        """A gap that no cut with ``best``'s bottleneck is below, if that bottleneck is proven."""
        hopeful = (beliefs.lower <= best.bottleneck) & (beliefs.upper > best.fastest)
        most = np.minimum(beliefs.upper[hopeful], best.bottleneck)
        fastest = self._fastest(beliefs.segments.where(hopeful), most, best.bottleneck)
        return int(best.bottleneck - max(fastest, best.fastest))

    def _cheapest(self, segments: Segments) -> tuple[int, ...] | None:
        return cheapest_cuts(segments, self.num_segments, allowed=self.allowed, tolls=self.tolls)

    def _fastest(self, segments: Segments, costs: Array, ceiling: float) -> float:
        return greatest_fastest(segments, costs, self.num_segments, ceiling, self.allowed)
