"""The strategy for unequal devices: where to cut, and which kind of device gets which segment.

The loop is that of :mod:`partitioner.strategies.search`, with a latency oracle, a cost model and
bounds for each kind of device, and :mod:`partitioner.solving.assignment` to solve for cuts and
kinds together.  What it proves is the same: no cut *and assignment* to the devices there are has a
lower bottleneck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from partitioner.beliefs import BeliefTables, Knowledge, tables_of
from partitioner.problem import (
    Guard,
    Outcome,
    Partition,
    Problem,
    Range,
    SegmentProfile,
    placed,
    ranges_of,
)
from partitioner.solving import (
    AssignedSolution,
    assigned_greatest_fastest,
    assigned_least_bottleneck,
    cheapest_assignment,
    solve_assigned,
)
from partitioner.strategies.ending import Ending
from partitioner.strategies.oracle import LatencyOracle
from partitioner.strategies.strategy import OnRound, Rounds, SearchOptions, ignore_round

_Task = tuple[Range, int]
"""A segment to be measured on a kind of device."""


@dataclass(frozen=True)
class Kind:
    """Devices that are alike: their name, how many there are, and who measures on them."""

    name: str
    count: int
    oracle: LatencyOracle


@dataclass(frozen=True)
class AssignedPartition:
    """A partition and the kind (index) that each of its segments is for."""

    partition: Partition
    kinds: tuple[int, ...]


def search_assigned(
    problem: Problem,
    kinds: Sequence[Kind],
    options: SearchOptions | None = None,
    on_round: OnRound = ignore_round,
) -> AssignedPartition:
    """Find the cut and assignment with the lowest bottleneck, then the smallest gap.

    The problem needs features: without, the least latency measured on a kind would be taken for
    its fixed cost, which says nothing of shorter segments that this kind was not yet tried with.

    Raises ``ValueError`` without features or with fewer devices than segments,
    ``NoFeasiblePartition``, and what the oracles raise.
    """
    if problem.features is None:
        raise ValueError("features are needed to bound what unequal devices were not tried with")
    if sum(kind.count for kind in kinds) < problem.num_segments:
        raise ValueError("there are fewer devices than segments")
    return _Search(problem, kinds, options or SearchOptions(), on_round).run()


class _Search:
    """One search.  Cuts are numbers of places here, segments are operators at the edges."""

    def __init__(
        self,
        problem: Problem,
        kinds: Sequence[Kind],
        options: SearchOptions,
        on_round: OnRound,
    ) -> None:
        self._problem = problem
        self._kinds = kinds
        self._counts = [min(kind.count, problem.num_segments) for kind in kinds]
        self._options = options
        self._places = problem.places
        self._k = problem.num_segments
        self._allowed = problem.allowed_cuts()
        self._toll = problem.tolls()
        self._ending = Ending[AssignedSolution](problem, options)
        self._known = [Knowledge(self._places, problem.features) for _ in kinds]
        self._rounds = Rounds(on_round)
        self._best: AssignedSolution | None = None

    def run(self) -> AssignedPartition:
        problem = self._problem
        start = ranges_of(problem.start_cuts, problem.num_operators)
        whole = [(0, problem.num_operators)] if self._options.baseline else []
        every = [(segment, q) for segment in [*start, *whole] for q in range(len(self._kinds))]
        self._measure(every, lambda _: False)
        tried: tuple[_Task, ...] = ()
        while True:
            beliefs = [tables_of(known, self._places) for known in self._known]
            self._best = self._solve([belief.measured for belief in beliefs])
            lower = [belief.lower for belief in beliefs]
            bound = assigned_least_bottleneck(lower, self._counts, self._k, self._allowed)
            if self._best is not None:
                bound = min(bound, self._best.bottleneck)
            self._record(tried, start, bound)
            outcome = self._ending.reason(self._best, bound, self._measured())
            if outcome is not None:
                return self._finish(outcome, bound, beliefs)
            following = self._next(beliefs)
            if following is None:
                return self._finish("optimal", bound, beliefs)
            tried, ruled_out, slowest_first = following
            expected = {
                task: beliefs[task[1]].expected[self._at(task[0])]
                for task in tried
                if self._known[task[1]].latency(task[0]) is None
            }
            order = sorted(expected, key=lambda task: expected[task], reverse=slowest_first)
            self._measure(order, ruled_out)

    def _solve(self, costs: Sequence[np.ndarray]) -> AssignedSolution | None:
        return solve_assigned(
            costs, self._counts, self._k, allowed=self._allowed, cut_bytes=self._toll
        )

    def _next(
        self, beliefs: Sequence[BeliefTables]
    ) -> tuple[tuple[_Task, ...], Callable[[float], bool], bool] | None:
        """What to measure next, which latencies rule it out, and whether to begin with the
        slowest; ``None`` when nothing can be better."""
        best = self._best
        bar = np.inf if best is None else best.bottleneck
        if self._ending.ceiling < bar:
            ceiling = self._ending.ceiling
            found = self._hopeful(beliefs, [b.lower <= ceiling for b in beliefs])
            if found is not None:
                return found, lambda latency: latency > ceiling, True
            self._ending.ceiling = np.inf  # nothing is that fast: go on for the best there is
        found = self._hopeful(beliefs, [b.lower < bar for b in beliefs])
        if found is not None:
            return found, lambda latency: latency >= bar, True
        if best is None:
            raise self._ending.nothing_compiles()
        floor = best.fastest
        found = self._evener(beliefs, best)
        if found is None:
            return None
        return found, lambda latency: latency > bar or latency <= floor, False

    def _hopeful(
        self, beliefs: Sequence[BeliefTables], hopeful: Sequence[np.ndarray]
    ) -> tuple[_Task, ...] | None:
        """The fastest expected among cuts of hopeful segments."""
        found = self._solve(
            [np.where(h, b.expected, np.inf) for h, b in zip(hopeful, beliefs, strict=True)]
        )
        return None if found is None else self._tasks(found.cuts, found.kinds)

    def _evener(
        self, beliefs: Sequence[BeliefTables], best: AssignedSolution
    ) -> tuple[_Task, ...] | None:
        """The smallest expected gap among those that could beat the best one's."""
        costs = [
            np.where(
                (b.lower <= best.bottleneck) & (b.upper > best.fastest),
                np.minimum(b.expected, best.bottleneck),
                np.inf,
            )
            for b in beliefs
        ]
        fastest = assigned_greatest_fastest(
            costs, self._counts, self._k, best.bottleneck, self._allowed
        )
        if not np.isfinite(fastest):
            return None
        usable = [(table >= fastest) & (table <= best.bottleneck) for table in costs]
        found = cheapest_assignment(
            usable, self._counts, self._k, allowed=self._allowed, cut_bytes=self._toll
        )
        return None if found is None else self._tasks(*found)

    def _tasks(self, cuts: Sequence[int], kinds: Sequence[int]) -> tuple[_Task, ...]:
        return tuple(zip(self._problem.segments_between(cuts), kinds, strict=True))

    def _at(self, segment: Range) -> tuple[int, int]:
        found = self._places.find(segment)
        assert found is not None, "segments that are tried lie between places"
        return found

    def _measure(self, tasks: Sequence[_Task], ruled_out: Callable[[float], bool]) -> None:
        """Measure in order, all kinds at the same time, until the cut is ruled out."""
        at_once = sum(max(1, kind.oracle.parallelism) for kind in self._kinds)
        for low in range(0, len(tasks), at_once):
            if self._rounds and self._ending.spent(self._measured()):
                return
            batch = tasks[low : low + at_once]
            by_kind = [[s for s, kind in batch if kind == q] for q in range(len(self._kinds))]
            with ThreadPoolExecutor(len(self._kinds), thread_name_prefix="kind") as pool:
                answers = list(pool.map(lambda k, s: k.oracle.measure(s), self._kinds, by_kind))
            stop = False
            for known, segments, latencies in zip(self._known, by_kind, answers, strict=True):
                for segment, latency in zip(segments, latencies, strict=True):
                    known.observe(segment, latency)
                    stop |= latency is None or ruled_out(float(latency))
            if self._rounds and stop:
                return

    def _measured(self) -> int:
        return sum(map(len, self._known))

    def _record(self, tried: tuple[_Task, ...], start: Sequence[Range], bound: float) -> None:
        best = self._best
        if not tried and best is not None:  # the start, assigned as well as it can be
            tried = self._tasks(best.cuts, best.kinds)
        known = [self._known[kind].latency(segment) for segment, kind in tried]
        latencies = tuple(None if v is None or np.isinf(v) else int(v) for v in known)
        segments = [segment for segment, _ in tried] or start
        self._rounds.record(
            segments,
            latencies or (None,) * len(segments),
            best=best,
            bound=bound,
            measurements=sum(kind.oracle.measurements for kind in self._kinds),
        )

    def _least_gap(
        self, beliefs: Sequence[BeliefTables], bound: float, best: AssignedSolution
    ) -> int:
        """A gap that no cut with the best bottleneck is below; 0 unless that one is proven."""
        if bound < best.bottleneck:
            return 0
        most = [
            np.where(
                (b.lower <= best.bottleneck) & (b.upper > best.fastest),
                np.minimum(b.upper, best.bottleneck),
                np.inf,
            )
            for b in beliefs
        ]
        fastest = assigned_greatest_fastest(
            most, self._counts, self._k, best.bottleneck, self._allowed
        )
        return int(best.bottleneck - max(fastest, best.fastest))

    def _finish(
        self, outcome: Outcome, bound: float, beliefs: Sequence[BeliefTables]
    ) -> AssignedPartition:
        best, outcome = self._ending.choice(self._best, outcome, len(self._rounds))
        profiles = []
        chosen = self._problem.segments_between(best.cuts)
        for segment, kind in zip(placed(chosen), best.kinds, strict=True):
            oracle = self._kinds[kind].oracle
            (latency,) = oracle.measure([segment.runs])
            assert latency is not None, "the segment was measured"
            profiles.append(SegmentProfile(segment, latency, oracle.facts(segment.runs)))
        measured = [known.answers() for known in self._known]
        partition = Partition(
            strategy="optimal",
            segments=tuple(profiles),
            bytes_across_cuts=self._problem.bytes_across(chosen),
            compilations=sum(kind.oracle.compilations for kind in self._kinds),
            measurements=sum(kind.oracle.measurements for kind in self._kinds),
            lower_bound_ns=int(bound),
            least_gap_ns=self._least_gap(beliefs, bound, best),
            outcome=outcome,
            guard=_worst([belief.guard for belief in beliefs]),
            rounds=self._rounds.all(),
            measured=tuple(pair for pairs in measured for pair in pairs),
            compiler_runs=sum(kind.oracle.compilations for kind in self._kinds),
            order=self._problem.order,
            kinds=tuple(self._kinds[kind].name for kind in best.kinds),
            measured_on=tuple(
                kind.name for kind, pairs in zip(self._kinds, measured, strict=True) for _ in pairs
            ),
        )
        return AssignedPartition(partition, best.kinds)


def _worst(guards: Sequence[Guard]) -> Guard:
    sigmas = [guard.model_sigmas for guard in guards if guard.model_sigmas is not None]
    return Guard(
        nested=sum(guard.nested for guard in guards),
        worst_violation=max(guard.worst_violation for guard in guards),
        worst_model_error=max(guard.worst_model_error for guard in guards),
        model_sigmas=max(sigmas) if sigmas else None,
    )
