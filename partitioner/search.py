"""The strategy ``optimal``: measure as little as possible, and stop with a proof.

Each round solves the whole problem exactly on what is believed so far, and measures what the
solution needs.  It ends when no cut is left that could be better, given lower bounds for
everything that was not measured::

    measure the starting split
    repeat
        best     = the best cut made of measured segments
        hopeful  = segments whose lower bound is below best's bottleneck
        if no cut uses hopeful segments only: best has the optimal bottleneck
        measure the hopeful cut that is expected to be the fastest, slowest segment first

then the same for the gap, over segments that are neither above the optimal bottleneck nor below
best's fastest segment.  ``best`` is solved for over *all* measured segments: it can only improve,
and may combine segments that were measured for different cuts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from partitioner.exact import Mask, Solution, cheapest_path, max_fastest, min_bottleneck, solve
from partitioner.knowledge import Beliefs, Knowledge
from partitioner.oracle import LatencyOracle
from partitioner.problem import (
    NoFeasiblePartition,
    Outcome,
    Partition,
    Problem,
    Range,
    Round,
    ranges_of,
)
from partitioner.strategy import OnRound, SearchOptions, ignore_round, partition_of


def search_optimal(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions | None = None,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Find the cut with the lowest bottleneck, then the smallest gap, and prove it.

    Never returns a cut slower than the best it measured.  ``on_round`` is called after each
    round.  Raises :class:`NoFeasiblePartition`, and what the oracle raises.
    """
    return _Search(problem, oracle, options or SearchOptions(), on_round).run()


class _Search:
    """One search.  Cuts are indices into ``positions`` here, operators at the edges."""

    def __init__(
        self,
        problem: Problem,
        oracle: LatencyOracle,
        options: SearchOptions,
        on_round: OnRound,
    ) -> None:
        self._problem = problem
        self._oracle = oracle
        self._options = options
        self._on_round = on_round
        self._positions = problem.positions
        self._k = problem.num_segments
        self._allowed = None
        if problem.cut_choices is not None:
            rows = [np.isin(self._positions, choices) for choices in problem.cut_choices]
            self._allowed = np.array(rows, dtype=np.bool_).reshape(-1, len(self._positions))
        self._toll = None
        if problem.cut_bytes is not None:
            self._toll = np.array([problem.cut_bytes[p] for p in self._positions], dtype=np.float64)
        self._known = Knowledge(self._positions, problem.features)
        for segment, latency in options.known.items():
            if set(segment) <= set(self._positions):
                self._known.observe(segment, latency)
        self._given = len(self._known)
        self._rounds: list[Round] = []
        self._best: Solution | None = None
        self._ceiling = np.inf if options.ceiling_ns is None else float(options.ceiling_ns)

    def run(self) -> Partition:
        problem = self._problem
        tried: Sequence[Range] = ranges_of(problem.start_cuts, problem.num_operators)
        whole = [(0, problem.num_operators)] if self._options.baseline else []
        self._measure([*tried, *whole], lambda _: False)
        while True:
            beliefs = self._known.beliefs()
            self._best = solve(
                self._known.measured(), self._k, allowed=self._allowed, cut_bytes=self._toll
            )
            bound = min_bottleneck(beliefs.lower, self._k, self._allowed)
            if self._best is not None:
                bound = min(bound, self._best.bottleneck)
            self._record(tried, bound)
            outcome = self._enough()
            if outcome is not None:
                return self._finish(outcome, bound, beliefs)
            cuts, ruled_out, slowest_first = self._next(beliefs)
            if cuts is None:
                return self._finish("optimal", bound, beliefs)
            edges = (0, *cuts, len(self._positions) - 1)
            pairs = list(pairwise(edges))
            pairs.sort(key=lambda pair: beliefs.expected[pair], reverse=slowest_first)
            tried = [(self._positions[i], self._positions[j]) for i, j in sorted(pairs)]
            missing = [(self._positions[i], self._positions[j]) for i, j in pairs]
            self._measure([s for s in missing if self._known.latency(s) is None], ruled_out)

    def _enough(self) -> Outcome | None:
        """Why to stop with the best cut so far, if there is a reason."""
        options, best = self._options, self._best
        if best is not None and best.bottleneck <= self._ceiling:
            if options.target_ns is not None and best.bottleneck <= options.target_ns:
                return "target"
            if best.gap < options.diff_threshold_ns:
                return "balanced"
        if self._spent():
            return "budget"
        return None

    def _next(
        self, beliefs: Beliefs
    ) -> tuple[tuple[int, ...] | None, Callable[[float], bool], bool]:
        """The cut to measure next, which latencies rule it out, and where to begin with it."""
        best = self._best
        bar = np.inf if best is None else best.bottleneck
        if self._ceiling < bar:
            cuts = self._fastest_expected(beliefs, beliefs.lower <= self._ceiling)
            if cuts is not None:
                return cuts, lambda latency: latency > self._ceiling, True
            self._ceiling = np.inf  # nothing is that fast: go on for the best there is
        cuts = self._fastest_expected(beliefs, beliefs.lower < bar)
        if cuts is not None or best is None:
            if cuts is None:
                raise NoFeasiblePartition(
                    f"each of the ways to cut {self._problem.num_operators} operators into "
                    f"{self._k} segments has a segment that does not compile"
                )
            return cuts, lambda latency: latency >= bar, True
        cuts = self._most_even_expected(beliefs, best)
        return cuts, lambda latency: latency > bar or latency <= best.fastest, False

    def _fastest_expected(self, beliefs: Beliefs, hopeful: Mask) -> tuple[int, ...] | None:
        """The cut expected to have the lowest bottleneck among those of hopeful segments."""
        costs = np.where(hopeful, beliefs.expected, np.inf)
        solution = solve(costs, self._k, allowed=self._allowed, cut_bytes=self._toll)
        return None if solution is None else solution.cuts

    def _most_even_expected(self, beliefs: Beliefs, best: Solution) -> tuple[int, ...] | None:
        """The cut expected to have the smallest gap among those that could beat ``best``'s."""
        hopeful = (beliefs.lower <= best.bottleneck) & (beliefs.upper > best.fastest)
        costs = np.where(hopeful, np.minimum(beliefs.expected, best.bottleneck), np.inf)
        fastest = max_fastest(costs, self._k, best.bottleneck, self._allowed)
        if not np.isfinite(fastest):
            return None
        usable = (costs >= fastest) & (costs <= best.bottleneck)
        return cheapest_path(usable, self._k, allowed=self._allowed, cut_bytes=self._toll)

    def _measure(self, segments: Sequence[Range], ruled_out: Callable[[float], bool]) -> None:
        """Measure in order, as many at once as there are devices, until the cut is ruled out."""
        at_once = max(1, self._oracle.parallelism)
        for low in range(0, len(segments), at_once):
            if self._rounds and self._spent():
                return
            batch = segments[low : low + at_once]
            answers = self._oracle.measure(batch)
            for segment, latency in zip(batch, answers, strict=True):
                self._known.observe(segment, latency)
            if self._rounds and any(a is None or ruled_out(float(a)) for a in answers):
                return

    def _spent(self) -> bool:
        limit = self._options.max_measurements
        return limit is not None and len(self._known) - self._given >= limit

    def _record(self, tried: Sequence[Range], bound: float) -> None:
        known = [self._known.latency(segment) for segment in tried]
        latencies = tuple(
            None if latency is None or np.isinf(latency) else int(latency) for latency in known
        )
        numbers = [latency for latency in latencies if latency is not None]
        complete = len(numbers) == len(latencies)
        best = self._best
        entry = Round(
            index=len(self._rounds),
            cuts=tuple(end for _, end in tried[:-1]),
            latencies_ns=latencies,
            bottleneck_ns=max(numbers) if complete else None,
            gap_ns=max(numbers) - min(numbers) if complete else None,
            best_bottleneck_ns=None if best is None else int(best.bottleneck),
            best_gap_ns=None if best is None else int(best.gap),
            lower_bound_ns=int(bound) if np.isfinite(bound) else 0,
            measurements=self._oracle.measurements,
        )
        self._rounds.append(entry)
        self._on_round(entry)

    def _finish(self, outcome: Outcome, bound: float, beliefs: Beliefs) -> Partition:
        if self._best is None:
            raise NoFeasiblePartition(
                f"none of the {len(self._rounds)} cuts tried within the measurements allowed "
                "compiles in all its segments; allow more measurements"
            )
        return partition_of(
            self._problem,
            self._oracle,
            tuple(self._positions[i] for i in self._best.cuts),
            strategy="optimal",
            lower_bound_ns=int(bound),
            outcome=outcome,
            guard=beliefs.guard,
            rounds=tuple(self._rounds),
        )
