"""The strategy for unequal devices: where to cut, and which kind of device gets which segment.

The loop is that of :mod:`partitioner.strategies.search`, with a latency oracle, a cost model and
bounds for each kind of device, and :mod:`partitioner.solving.assignment` to solve for cuts and
kinds together.  What it proves is the same: no cut *and assignment* to the devices there are has a
lower bottleneck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from partitioner.beliefs import BeliefTables, Knowledge, tables_of
from partitioner.problem import Array, Guard, Mask, Outcome, Partition, Problem, Range
from partitioner.solving import (
    AssignedSolution,
    assigned_greatest_fastest,
    assigned_least_bottleneck,
    cheapest_assignment,
    solve_assigned,
)
from partitioner.strategies.account import Account
from partitioner.strategies.aims import Aims, Step
from partitioner.strategies.oracle import LatencyOracle
from partitioner.strategies.prospects import could_be_more_even
from partitioner.strategies.strategy import NO_LIMITS, OnRound, SearchOptions, ignore_round

_Task = tuple[Range, int]
"""A segment to be measured on a kind of device."""

_Tasks = tuple[_Task, ...]


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
    options: SearchOptions = NO_LIMITS,
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
    return _Search(problem, kinds, options, on_round).run()


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
        self._names = [kind.name for kind in kinds]
        self._counts = [min(kind.count, problem.num_segments) for kind in kinds]
        self._baseline = options.baseline
        self._account = Account(problem, [kind.oracle for kind in kinds], on_round)
        self._oracles = self._account.oracles
        self._places = problem.places
        self._k = problem.num_segments
        self._allowed, self._toll = problem.allowed_cuts(), problem.tolls()
        self._known = [Knowledge(self._places, problem.features) for _ in kinds]
        self._aims = Aims[AssignedSolution](problem, options)
        self._best: AssignedSolution | None = None

    def run(self) -> AssignedPartition:
        problem = self._problem
        first = [*problem.start, *([problem.whole] if self._baseline else [])]
        every = [(segment, q) for segment in first for q in range(len(self._oracles))]
        self._measure(every, lambda _: False)
        tried: _Tasks = ()
        while True:
            beliefs = [tables_of(known, self._places) for known in self._known]
            self._best = self._solve([belief.measured for belief in beliefs])
            lower = [belief.lower for belief in beliefs]
            bound = assigned_least_bottleneck(lower, self._counts, self._k, self._allowed)
            if self._best is not None:
                bound = min(bound, self._best.bottleneck)
            self._record(tried, bound)
            outcome = self._aims.reached(self._best, bound, self._measured)
            step = self._next(beliefs) if outcome is None else None
            if step is None:
                return self._finish(outcome or "optimal", bound, beliefs)
            tried = step.cut
            expected = {
                task: beliefs[task[1]].expected[self._at(task[0])]
                for task in tried
                if self._known[task[1]].latency(task[0]) is None
            }
            order = sorted(expected, key=lambda task: expected[task], reverse=step.slowest_first)
            self._measure(order, step.ruled_out)

    @property
    def _measured(self) -> int:
        return sum(map(len, self._known))

    def _solve(self, costs: Sequence[Array]) -> AssignedSolution | None:
        return solve_assigned(
            costs, self._counts, self._k, allowed=self._allowed, cut_bytes=self._toll
        )

    def _next(self, beliefs: Sequence[BeliefTables]) -> Step[_Tasks] | None:
        """What to measure next; ``None`` when nothing can be better."""
        best = self._best
        step = self._aims.faster(best, lambda hopeful: self._fastest(beliefs, hopeful))
        if step is not None:
            return step
        assert best is not None, "where nothing compiles there is nothing to even out"
        tasks = self._most_even(beliefs, best)
        if tasks is None:
            return None
        slowest, fastest = best.bottleneck, best.fastest
        return Step(tasks, lambda latency: latency > slowest or latency <= fastest, False)

    def _fastest(
        self, beliefs: Sequence[BeliefTables], hopeful: Callable[[Array], Mask]
    ) -> _Tasks | None:
        """The fastest expected among cuts of hopeful segments."""
        found = self._solve([np.where(hopeful(b.lower), b.expected, np.inf) for b in beliefs])
        return None if found is None else self._tasks(found.cuts, found.kinds)

    def _most_even(self, beliefs: Sequence[BeliefTables], best: AssignedSolution) -> _Tasks | None:
        """The smallest expected gap among those that could beat the best one's."""
        costs = _among_more_even(beliefs, [b.expected for b in beliefs], best)
        fastest = self._greatest_fastest(costs, best)
        if not np.isfinite(fastest):
            return None
        usable = [(table >= fastest) & (table <= best.bottleneck) for table in costs]
        found = cheapest_assignment(
            usable, self._counts, self._k, allowed=self._allowed, cut_bytes=self._toll
        )
        return None if found is None else self._tasks(*found)

    def _least_gap(
        self, beliefs: Sequence[BeliefTables], best: AssignedSolution, bound: float
    ) -> int:
        """A gap that no cut with the best bottleneck is below; 0 unless that one is proven."""
        if bound < best.bottleneck:
            return 0
        most = _among_more_even(beliefs, [b.upper for b in beliefs], best)
        return int(best.bottleneck - max(self._greatest_fastest(most, best), best.fastest))

    def _greatest_fastest(self, costs: Sequence[Array], best: AssignedSolution) -> float:
        return assigned_greatest_fastest(
            costs, self._counts, self._k, best.bottleneck, self._allowed
        )

    def _tasks(self, cuts: Sequence[int], kinds: Sequence[int]) -> _Tasks:
        return tuple(zip(self._problem.segments_between(cuts), kinds, strict=True))

    def _at(self, segment: Range) -> tuple[int, int]:
        found = self._places.find(segment)
        assert found is not None, "segments that are tried lie between places"
        return found

    def _measure(self, tasks: Sequence[_Task], ruled_out: Callable[[float], bool]) -> None:
        """Measure in order, all kinds at the same time, until the cut is ruled out."""
        at_once = sum(max(1, oracle.parallelism) for oracle in self._oracles)
        started = self._account.num_rounds > 0
        for low in range(0, len(tasks), at_once):
            if started and self._aims.spent(self._measured):
                return
            batch = tasks[low : low + at_once]
            by_kind = [[s for s, kind in batch if kind == q] for q in range(len(self._oracles))]
            with ThreadPoolExecutor(len(self._oracles), thread_name_prefix="kind") as pool:
                answers = list(pool.map(lambda o, s: o.measure(s), self._oracles, by_kind))
            stop = False
            for known, segments, latencies in zip(self._known, by_kind, answers, strict=True):
                for segment, latency in zip(segments, latencies, strict=True):
                    known.observe(segment, latency)
                    stop |= latency is None or ruled_out(float(latency))
            if started and stop:
                return

    def _record(self, tried: _Tasks, bound: float) -> None:
        best = self._best
        if not tried and best is not None:  # the start, assigned as well as it can be
            tried = self._tasks(best.cuts, best.kinds)
        segments = [segment for segment, _ in tried] or self._problem.start
        latencies = [self._oracles[kind].answers.get(segment) for segment, kind in tried]
        self._account.add_round(segments, latencies or [None] * len(segments), best, bound)

    def _finish(
        self, outcome: Outcome, bound: float, beliefs: Sequence[BeliefTables]
    ) -> AssignedPartition:
        best, outcome = self._aims.choice(self._best, outcome, self._account.num_rounds)
        partition = self._account.partition(
            self._problem.segments_between(best.cuts),
            best.kinds,
            strategy="optimal",
            outcome=outcome,
            lower_bound_ns=int(bound),
            least_gap_ns=self._least_gap(beliefs, best, bound),
            guard=Guard.worst([belief.guard for belief in beliefs]),
            bases=tuple(known.basis for known in self._known),
            limit=self._aims.limit,
        )
        named = zip(self._names, self._oracles, strict=True)
        partition = replace(
            partition,
            kinds=tuple(self._names[kind] for kind in best.kinds),
            available=tuple(zip(self._names, self._counts, strict=True)),
            measured_on=tuple(name for name, oracle in named for _ in oracle.answers),
        )
        return AssignedPartition(partition, best.kinds)


def _among_more_even(
    beliefs: Sequence[BeliefTables], costs: Sequence[Array], best: AssignedSolution
) -> list[Array]:
    """``costs`` of the segments, by kind, that a more even cut than ``best`` can be made of."""
    return [
        np.where(could_be_more_even(b, best), np.minimum(table, best.bottleneck), np.inf)
        for b, table in zip(beliefs, costs, strict=True)
    ]
