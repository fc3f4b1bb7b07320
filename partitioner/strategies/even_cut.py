"""The cut that is even enough (``diff_threshold_ns``), and when it may end a search.

It does not at once: of a small model every cut is even to within a millisecond, also those twice
as slow as need be.  The search goes on for a while to find out how good it is, and a faster cut
that is even enough, too, takes its place.
"""

from __future__ import annotations

from partitioner.solving import Solution

_CLOSE = 0.01
"""A cut that is even enough and proven to be within this of the optimum ends the search."""

_MOST_FOR_PROOF = 12
"""Measurements spent on that proof after the first cut that is even enough, for each segment asked
for: as many are measured at the same time on that many devices."""


class EvenCut:
    """The fastest one found so far, as ``found``."""

    def __init__(self, threshold_ns: int, num_segments: int) -> None:
        self.found: Solution | None = None
        self._threshold_ns = threshold_ns
        self._most = _MOST_FOR_PROOF * num_segments
        self._since = 0

    def note(self, best: Solution, measured: int) -> None:
        """Keep the best cut so far if it is even enough; so much was measured by now."""
        if best.gap < self._threshold_ns:
            if self.found is None:
                self._since = measured
            self.found = best

    def suffices(self, bound: float, measured: int) -> bool:
        """Whether little can be gained by going on, or much was tried."""
        if self.found is None:
            return False
        return self.is_close(bound) or measured - self._since >= self._most

    def is_close(self, bound: float) -> bool:
        """Whether the cut is known to be about as fast as any, with what no cut is below."""
        return self.found is not None and self.found.bottleneck <= bound * (1.0 + _CLOSE)
