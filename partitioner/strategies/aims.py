"""What a search is after while it goes on: when to end, with which cut, and what to try before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from partitioner.problem import Array, Limit, Mask, NoFeasiblePartition, Outcome, Problem
from partitioner.solving import Solution
from partitioner.strategies.prospects import Prospect
from partitioner.strategies.strategy import Budget, SearchOptions

_CLOSE = 0.01
"""A cut that is even enough and proven to be within this of the optimum ends the search."""

_MOST_FOR_PROOF = 12
"""Measurements spent on that proof after the first cut that is even enough, for each segment asked
for: as many are measured at the same time on that many devices."""


@dataclass(frozen=True)
class Step:
    """A cut to measure, which latencies of its segments rule it out, and where to begin.

    ``hopeful``: by their lower bounds (ns), the segments that such cuts are made of, where any
    other of these cuts is as good to rule out.
    """

    cut: Prospect
    ruled_out: Callable[[float], bool]
    slowest_first: bool
    hopeful: Callable[[Array], Mask] | None = None


class EvenCut:
    """The cut that is even enough (``diff_threshold_ns``), the fastest so far, as ``found``.

    It does not end a search at once: of a small model every cut is even to within a millisecond,
    also those twice as slow as need be.  The search goes on for a while to find out how good it is,
    and a faster cut that is even enough, too, takes its place.
    """

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


class Aims:
    """The options of a search at work.

    ``given`` is how many segments were known before it began, which its budget does not count.
    """

    def __init__(self, problem: Problem, options: SearchOptions, given: int) -> None:
        self._problem = problem
        self._target_ns = options.target_ns
        self._useless_from_ns = options.useless_from_ns
        self._budget = Budget(options)
        self._given = given
        self._even = EvenCut(options.diff_threshold_ns, problem.num_segments)
        ceilings = [ns for ns in (options.ceiling_ns, options.useless_from_ns) if ns is not None]
        self.ceiling_ns = float(min(ceilings, default=np.inf))
        """Cuts above are not tried; ``inf`` from when nothing is found to be under it."""
        self.limit: Limit = ""
        """What ended the search before all was proven."""

    def spent(self, measured: int) -> Outcome | None:
        """Why to end for what it took so far, if that is a reason."""
        return self._budget.spent(measured - self._given)

    def reached(self, best: Solution | None, bound: float, measured: int) -> Outcome | None:
        """Why to end with the best cut so far, if there is a reason."""
        if (
            best is not None
            and self._useless_from_ns is not None
            and bound >= self._useless_from_ns
        ):
            return "useless"
        if best is not None and best.bottleneck <= self.ceiling_ns:
            if self._target_ns is not None and best.bottleneck <= self._target_ns:
                self._even.found = None
                return "target"
            self._even.note(best, measured)
        if self._even.suffices(bound, measured):
            self.limit = "" if self._even.is_close(bound) else "effort"
            return "balanced"
        spent = self.spent(measured)
        if spent == "budget" or spent == "timeout":
            self.limit = spent
        return "balanced" if spent and self._even.found is not None else spent

    def choice(
        self, best: Solution | None, outcome: Outcome, num_rounds: int
    ) -> tuple[Solution, Outcome]:
        """The cut to answer with: the even one, where one was found, else the best.

        Raises :class:`NoFeasiblePartition` when none of ``num_rounds`` cuts compiles.
        """
        if self._even.found is not None:
            return self._even.found, "balanced"
        if best is None:
            raise NoFeasiblePartition(
                f"no cut of {num_rounds} tried within the measurements and the time allowed "
                "compiles in all its segments; allow more of them"
            )
        return best, outcome

    def faster(
        self,
        best: Solution | None,
        find: Callable[[Callable[[Array], Mask]], Prospect | None],
    ) -> Step | None:
        """A cut to measure that may be faster than the best, under the ceiling while one may exist.

        ``find`` looks among the segments whose lower bounds its argument holds for hopeful.
        ``None`` says that no cut is faster; :class:`NoFeasiblePartition` is raised where there
        is none at all.
        """
        ceiling = self.ceiling_ns
        bar = np.inf if best is None else best.bottleneck
        if ceiling < bar:
            cut = find(lambda lower: lower <= ceiling)
            if cut is not None:
                return Step(cut, lambda latency: latency > ceiling, slowest_first=True)
            self.ceiling_ns = np.inf  # nothing is that fast: go on for the best there is

        def hopeful(lower: Array) -> Mask:
            return np.asarray(lower < bar)

        cut = find(hopeful)
        if cut is not None:
            return Step(cut, lambda latency: latency >= bar, slowest_first=True, hopeful=hopeful)
        if best is None:
            raise NoFeasiblePartition(
                f"each of the ways to cut {self._problem.num_operators} operators into "
                f"{self._problem.num_segments} segments has a segment that does not compile"
            )
        return None
