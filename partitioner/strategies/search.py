"""The strategy ``optimal``: measure as little as possible, and stop with a proof.

Each round solves the whole problem exactly on what is believed so far, and measures what the
solution needs.  It ends when no cut is left that could be better, given lower bounds for
everything that was not measured::

    measure the starting split, or the cut that published constants suggest
    repeat
        best     = the best cut made of measured segments
        hopeful  = segments whose lower bound is below best's bottleneck
        if no cut uses hopeful segments only: best has the optimal bottleneck
        measure the hopeful cut that is expected to be the fastest, slowest segment first

then the same for the gap, over segments that are neither above the optimal bottleneck nor below
best's fastest segment, and for the bytes across cuts, over segments that keep both; these two with
a limit to what they may cost.  ``best`` is
solved for over *all* measured segments: it can only improve, and may combine segments that were
measured for different cuts.

Devices may be of several kinds.  Then a cut says for each segment which kind of device it is for,
and each kind has an oracle, beliefs and bounds of its own; where all are alike there is one.

Of long models, not all segments are looked at in every round, but all before it ends
(:mod:`partitioner.strategies.attention`): nothing is called proven that was not proven for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from partitioner.beliefs import Beliefs
from partitioner.problem import Guard, Outcome, Partition, Problem, Segments
from partitioner.solving import Solution
from partitioner.strategies.account import Account
from partitioner.strategies.aims import Aims, Step
from partitioner.strategies.attention import FEW_SEGMENTS, Attention
from partitioner.strategies.first_cut import suggested_cut
from partitioner.strategies.many import (
    MANY,
    MANY_WITHOUT_SCATTER,
    SCATTER,
    many_segments,
)
from partitioner.strategies.next_segments import Task, next_segments, tasks_of
from partitioner.strategies.oracle import LatencyOracle
from partitioner.strategies.prospects import Prospects
from partitioner.strategies.strategy import (
    NO_LIMITS,
    Kind,
    OnRound,
    SearchOptions,
    alike,
    ignore_round,
)

_EVENNESS = 4
"""Of large models the gap takes at most a share of the effort of the proof: ``evenness`` by this.
Their many segments differ by less than can be told without measuring them; what is not proven then
is said to be so."""


def search_optimal(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions = NO_LIMITS,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Find the cut with the lowest bottleneck, then smallest gap, then fewest bytes; prove it.

    Never returns a cut slower than the best it measured, unless that one is less even than
    ``diff_threshold_ns`` allows and another is not.  ``on_round`` is called after each
    round.  Raises :class:`NoFeasiblePartition`, what the oracle raises, and ``ValueError`` for a
    problem that leaves nothing to rest a proof on: it has no features, nor are boundaries alike.
    """
    if problem.features is None and not problem.boundaries_alike and problem.num_segments > 1:
        raise ValueError(
            "features are needed to bound what was not measured; or say boundaries_alike, if a "
            "request and its transfers cost every segment the same"
        )
    kind = alike(problem, oracle, options.rates)
    return _Search(problem, [kind], options, on_round).run()


def search_assigned(
    problem: Problem,
    kinds: Sequence[Kind],
    options: SearchOptions = NO_LIMITS,
    on_round: OnRound = ignore_round,
) -> Partition:
    """The same for unequal devices: where to cut, and which kind of device gets which segment.

    No cut *and assignment* to the devices there are has a lower bottleneck.  The names of
    ``kinds`` differ; the partition's ``kinds`` are these.

    The problem needs features: without, the least latency measured on a kind would be taken for
    its fixed cost, which says nothing of shorter segments that this kind was not yet tried with.

    Raises ``ValueError`` without features or with fewer devices than segments,
    ``NoFeasiblePartition``, and what the oracles raise.
    """
    if problem.features is None and problem.num_segments > 1:
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
        self._kinds = kinds
        self._baseline, self._evenness = options.baseline, options.evenness
        self._account = Account(problem, kinds, on_round)
        self._oracles, self._counts = self._account.oracles, self._account.counts
        self._known = self._account.knowledge()
        self._aims = Aims(problem, options, given=self._measured)
        self._attention = Attention(problem, self._known)
        self._prospects = Prospects(problem, self._counts)
        self._best: Solution | None = None
        self._evening_out = False
        self._effort = {False: 0, True: 0}
        self._spent = {False: 0, True: 0}

    def run(self) -> Partition:
        problem, attention = self._problem, self._attention
        tried = self._begin()
        coarse = attention.sample(self._best)
        segments = attention.promising(self._best) if coarse is None else coarse
        while True:
            beliefs = self._beliefs(segments)
            bound = self._bound(beliefs) if segments is not coarse else 0.0
            outcome, step = self._decide(beliefs, bound)
            if step is None and not (attention.complete(beliefs) and self._all_told()):
                # Nothing is left of what was looked at; what was left out may have come back.
                segments = attention.promising(self._best)
                beliefs = self._beliefs(segments)
                bound = self._bound(beliefs)
                outcome, step = self._decide(beliefs, bound)
            self._record(tried, bound)
            if step is None:
                return self._finish(outcome, bound)
            tried = tasks_of(problem, step.cut)
            before, earlier = self._measured, self._best
            tasks = next_segments(
                problem, self._known, beliefs, self._prospects, step, self._at_once
            )
            self._measure(tasks, step.ruled_out)
            if self._best is not None and self._takes_many and not self._evening_out:
                bar, spent = self._best.bottleneck, self._spent[False]
                self._measure(many_segments(problem, beliefs, self._counts, bar, spent))
            self._spent[self._evening_out] += self._measured - before
            if segments is coarse:
                if not attention.vast or self._best == earlier or self._takes_many:
                    segments = attention.promising(self._best)
            else:
                segments = attention.thinned(beliefs, self._best, evening_out=self._evening_out)

    def _begin(self) -> Sequence[Task]:
        """Measure a first cut; that cut, with its segments where they are in the best one."""
        problem, every = self._problem, range(len(self._kinds))
        cut = suggested_cut(problem, self._kinds, self._counts)
        whole = [problem.whole] if self._baseline else []
        if cut is not None:
            tasks = tasks_of(problem, cut)
            self._measure([*tasks, *((segment, kind) for segment in whole for kind in every)])
            return tasks
        self._measure([(segment, kind) for segment in [*problem.start, *whole] for kind in every])
        kinds = (0,) * problem.num_segments if self._best is None else self._best.kinds
        return list(zip(problem.start, kinds, strict=True))

    @property
    def _takes_many(self) -> bool:
        """Whether so much was asked for the bottleneck that more is to be asked for at once."""
        if not all(oracle.instant for oracle in self._oracles):
            return False
        scatter = max(known.guard.scatter for known in self._known)
        soon = scatter >= SCATTER or self._attention.vast
        most = MANY if soon else MANY_WITHOUT_SCATTER
        return self._spent[False] >= most * len(self._known)

    def _all_told(self) -> bool:
        """Whether all that was measured is in the beliefs; it is from now on."""
        told = [known.tell() for known in self._known]
        return all(told)

    @property
    def _measured(self) -> int:
        return sum(map(len, self._known))

    def _beliefs(self, segments: Sequence[Segments]) -> list[Beliefs]:
        return [known.beliefs(some) for known, some in zip(self._known, segments, strict=True)]

    def _bound(self, beliefs: Sequence[Beliefs]) -> float:
        """A latency that no bottleneck is below; segments left out are above the best one."""
        lowest = self._prospects.least_bottleneck(beliefs)
        return lowest if self._best is None else min(lowest, self._best.bottleneck)

    def _decide(self, beliefs: Sequence[Beliefs], bound: float) -> tuple[Outcome, Step | None]:
        """Why to end, or what to measure before."""
        outcome = self._aims.reached(self._best, bound, self._measured)
        return outcome or "optimal", None if outcome is not None else self._next(beliefs)

    def _next(self, beliefs: Sequence[Beliefs]) -> Step | None:
        """The cut to measure next; ``None`` when no cut can be better than the best one."""
        best, prospects = self._best, self._prospects
        step = self._aims.faster(best, lambda hopeful: prospects.fastest(beliefs, hopeful))
        bar = np.inf if best is None else best.bottleneck
        looked_at = sum(len(belief.segments) for belief in beliefs)
        self._evening_out = step is None
        if bar <= self._aims.ceiling_ns:
            self._effort[self._evening_out] += looked_at
        if step is not None:
            return step
        assert best is not None, "where nothing compiles there is nothing to even out"
        most = max(self._evenness * self._problem.num_segments, self._spent[False])
        if self._spent[True] >= most:
            return None
        cut = prospects.most_even(prospects.in_file_order(beliefs), best)
        if cut is None:
            most_effort = self._evenness / _EVENNESS * self._effort[False]
            if self._effort[True] > most_effort and looked_at > FEW_SEGMENTS:
                return None
            cut = prospects.most_even(beliefs, best)
        if cut is not None:
            return Step(cut, lambda latency: latency > bar or latency <= best.fastest, False)
        cut = prospects.fewest_bytes(beliefs, best)
        if cut is not None:
            return Step(cut, lambda latency: latency > bar or latency < best.fastest, True)
        return None

    @property
    def _at_once(self) -> int:
        """Segments that can be measured at the same time."""
        return sum(max(1, oracle.parallelism) for oracle in self._oracles)

    def _measure(
        self, tasks: Sequence[Task], ruled_out: Callable[[float], bool] = lambda _: False
    ) -> None:
        """Measure in order, as many at once as there are devices, until the cut is ruled out.

        Kinds of devices work at the same time.  Then the best cut is solved for.
        """
        started = self._account.num_rounds > 0
        for low in range(0, len(tasks), self._at_once):
            if started and self._aims.spent(self._measured):
                break
            answers = self._ask(tasks[low : low + self._at_once])
            if started and any(a is None or ruled_out(float(a)) for a in answers):
                break
        self._best = best = self._prospects.best(self._known)
        if best is not None:
            for known in self._known:
                known.near(best.bottleneck)

    def _ask(self, batch: Sequence[Task]) -> list[int | None]:
        """The answers, in no particular order; they are known from then on."""
        by_kind = [[s for s, kind in batch if kind == q] for q in range(len(self._kinds))]
        if len(self._kinds) == 1:  # a thread gains nothing for one
            answers = [self._oracles[0].measure(by_kind[0])]
        else:
            with ThreadPoolExecutor(len(self._kinds), thread_name_prefix="kind") as pool:
                asked = pool.map(lambda o, some: o.measure(some), self._oracles, by_kind)
                answers = list(asked)
        for known, segments, latencies in zip(self._known, by_kind, answers, strict=True):
            for segment, latency in zip(segments, latencies, strict=True):
                known.observe(segment, latency)
        return [latency for latencies in answers for latency in latencies]

    def _record(self, tried: Sequence[Task], bound: float) -> None:
        latencies = [self._oracles[kind].answers.get(segment) for segment, kind in tried]
        self._account.add_round([segment for segment, _ in tried], latencies, self._best, bound)

    def _finish(self, outcome: Outcome, bound: float) -> Partition:
        best, outcome = self._aims.choice(self._best, outcome, self._account.num_rounds)
        return self._account.partition(
            self._problem.segments_between(best.cuts),
            best.kinds,
            strategy="optimal",
            outcome=outcome,
            lower_bound_ns=int(bound),
            guard=Guard.worst([known.guard for known in self._known]),
            bases=tuple(known.basis for known in self._known),
            limit=self._aims.limit,
        )
