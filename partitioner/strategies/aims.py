"""What a search is after while it goes on: when to end, with which cut, and what to try before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from partitioner.problem import Array, Limit, Mask, NoFeasiblePartition, Outcome, Problem
from partitioner.solving import Solution
from partitioner.strategies.even_cut import EvenCut
from partitioner.strategies.prospects import Prospect
from partitioner.strategies.strategy import Budget, SearchOptions


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
