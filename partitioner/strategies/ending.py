"""When a search for the best cut ends before it has a proof, and with which cut.

A cut that is even enough (``diff_threshold_ns``) does not end it at once: of a small model every
cut is even to within a millisecond, also those twice as slow as need be.  The search goes on for a
while to find out how good it is, and a faster cut that is even enough, too, takes its place.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

import numpy as np

from partitioner.problem import NoFeasiblePartition, Outcome, Problem
from partitioner.strategies.strategy import Budget, SearchOptions

_CLOSE = 0.01
"""A cut that is even enough and proven to be within this of the optimum ends the search."""

_MOST_FOR_PROOF = 12
"""Measurements spent on that proof after the first cut that is even enough, for each segment asked
for: as many are measured at the same time on that many devices."""


class _Cut(Protocol):
    @property
    def bottleneck(self) -> float: ...

    @property
    def gap(self) -> float: ...


S = TypeVar("S", bound=_Cut)


class Ending(Generic[S]):
    """Watches one search.

    ``ceiling``: bottlenecks above it are of no interest, in nanoseconds, until the search finds
    that there is nothing below it and lifts it.
    """

    def __init__(self, problem: Problem, options: SearchOptions) -> None:
        self.ceiling = np.inf if options.ceiling_ns is None else float(options.ceiling_ns)
        self._problem = problem
        self._options = options
        self._budget = Budget(options)
        self._most = _MOST_FOR_PROOF * problem.num_segments
        self._even: S | None = None
        self._since = 0

    def spent(self, measured: int) -> Outcome | None:
        """Why to stop measuring, if ``measured`` segments or the time gone by are a reason."""
        return self._budget.spent(measured)

    def reason(
        self, best: S | None, bound: float, measured: int, *, given: int = 0
    ) -> Outcome | None:
        """Why to stop with the best cut so far, if there is a reason.

        No bottleneck is below ``bound``; of ``measured`` segments, ``given`` had been measured
        before the search began.
        """
        options = self._options
        if best is not None and best.bottleneck <= self.ceiling:
            if options.target_ns is not None and best.bottleneck <= options.target_ns:
                self._even = None
                return "target"
            if best.gap < options.diff_threshold_ns:
                if self._even is None:
                    self._since = measured
                self._even = best
        if self._even is not None:
            close = self._even.bottleneck <= bound * (1.0 + _CLOSE)
            if close or measured - self._since >= self._most:
                return "balanced"
        spent = self.spent(measured - given)
        return "balanced" if spent and self._even is not None else spent

    def choice(self, best: S | None, outcome: Outcome, rounds: int) -> tuple[S, Outcome]:
        """The cut to end with: one that is even enough before one that is only fast.

        Raises :class:`NoFeasiblePartition` when there is none.
        """
        if self._even is not None:
            return self._even, "balanced"
        if best is None:
            raise NoFeasiblePartition(
                f"none of the {rounds} cuts tried within the measurements allowed compiles in all "
                "its segments; allow more measurements"
            )
        return best, outcome

    def nothing_compiles(self) -> NoFeasiblePartition:
        """The error to raise when no cut is left that could compile."""
        return NoFeasiblePartition(
            f"each of the ways to cut {self._problem.num_operators} operators into "
            f"{self._problem.num_segments} segments has a segment that does not compile"
        )
