"""Which cuts are worth measuring, by what is believed of their segments."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from partitioner.beliefs import Beliefs
from partitioner.problem import Array, Mask, Problem
from partitioner.solving import Solution, cheapest_cuts, greatest_fastest, least_bottleneck


class Bounds(Protocol):
    """Lower and upper bounds on segments, in whatever shape."""

    @property
    def lower(self) -> Array: ...

    @property
    def upper(self) -> Array: ...


class Worth(Protocol):
    """Slowest and fastest segment of a cut."""

    @property
    def bottleneck(self) -> float: ...

    @property
    def fastest(self) -> float: ...


def could_be_more_even(bounds: Bounds, best: Worth) -> Mask:
    """Segments that a cut as fast as ``best``, with a smaller gap, can be made of."""
    return (bounds.lower <= best.bottleneck) & (bounds.upper > best.fastest)


class Prospects:
    """The cuts of a problem between its places, as paths of the segments believed in."""

    def __init__(self, problem: Problem) -> None:
        self._ideals = problem.ideals
        self._k = problem.num_segments
        self._allowed = problem.allowed_cuts()
        self._tolls = problem.tolls()

    def least_bottleneck(self, beliefs: Beliefs) -> float:
        """A latency that no cut's bottleneck is below; ``inf`` if there is no cut."""
        return least_bottleneck(beliefs.segments, beliefs.lower, self._k, self._allowed)

    def fastest(self, beliefs: Beliefs, hopeful: Mask) -> tuple[int, ...] | None:
        """The cut expected to have the lowest bottleneck among those of hopeful segments."""
        segments, expected = beliefs.segments.where(hopeful), beliefs.expected[hopeful]
        bottleneck = least_bottleneck(segments, expected, self._k, self._allowed)
        if not np.isfinite(bottleneck):
            return None
        usable = expected <= bottleneck
        return cheapest_cuts(
            segments.where(usable), self._k, allowed=self._allowed, tolls=self._tolls
        )

    def most_even(self, beliefs: Beliefs, best: Solution) -> tuple[int, ...] | None:
        """The cut expected to have the smallest gap among those that could beat ``best``'s."""
        hopeful = could_be_more_even(beliefs, best)
        segments = beliefs.segments.where(hopeful)
        expected = np.minimum(beliefs.expected[hopeful], best.bottleneck)
        fastest = greatest_fastest(segments, expected, self._k, best.bottleneck, self._allowed)
        if not np.isfinite(fastest):
            return None
        return cheapest_cuts(
            segments.where(expected >= fastest), self._k, allowed=self._allowed, tolls=self._tolls
        )

    def fewest_bytes(self, beliefs: Beliefs, best: Solution) -> tuple[int, ...] | None:
        """The cut with the fewest bytes across that could be as fast and as even as ``best``."""
        if self._tolls is None:
            return None
        hopeful = (beliefs.lower <= best.bottleneck) & (beliefs.upper >= best.fastest)
        cuts = cheapest_cuts(
            beliefs.segments.where(hopeful), self._k, allowed=self._allowed, tolls=self._tolls
        )
        if cuts is None or self._tolls[list(cuts)].sum() >= self._tolls[list(best.cuts)].sum():
            return None
        return cuts

    def least_gap(self, beliefs: Beliefs, best: Solution, bound: float) -> int:
        """A gap that no cut with the best bottleneck is below; 0 unless that one is proven."""
        if bound < best.bottleneck:
            return 0
        hopeful = could_be_more_even(beliefs, best)
        most = np.minimum(beliefs.upper[hopeful], best.bottleneck)
        segments = beliefs.segments.where(hopeful)
        fastest = greatest_fastest(segments, most, self._k, best.bottleneck, self._allowed)
        return int(best.bottleneck - max(fastest, best.fastest))

    def in_file_order(self, beliefs: Beliefs) -> Beliefs:
        """The beliefs on what lies in the order of the file, which is little; else nothing."""
        segments = beliefs.segments
        if self._ideals is None:
            here = np.zeros(len(segments), dtype=np.bool_)
        else:
            here = self._ideals.in_file_order(segments)
        return Beliefs(
            segments.where(here), beliefs.lower[here], beliefs.expected[here], beliefs.upper[here]
        )
