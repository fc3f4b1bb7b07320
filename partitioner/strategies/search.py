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
best's fastest segment, and for the bytes across cuts, over segments that keep both; these two with
a limit to what they may cost.  ``best`` is
solved for over *all* measured segments: it can only improve, and may combine segments that were
measured for different cuts.

Of long models, not all segments are looked at in every round, but all before it ends
(:mod:`partitioner.strategies.attention`): nothing is called proven that was not proven for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from partitioner.beliefs import Beliefs, Knowledge
from partitioner.problem import Outcome, Partition, Problem, Range
from partitioner.solving import Solution
from partitioner.strategies.account import Account
from partitioner.strategies.aims import Aims, Step
from partitioner.strategies.attention import FEW_SEGMENTS, Attention
from partitioner.strategies.oracle import LatencyOracle
from partitioner.strategies.prospects import Prospects
from partitioner.strategies.strategy import NO_LIMITS, OnRound, SearchOptions, ignore_round

_MOST_FOR_EVENNESS = 120
"""Measurements spent on the gap and the bytes at least, once the bottleneck is proven; at most as
many as that took, and of large models no more effort.  Their many segments differ by less than
can be told without measuring them; what is not proven then is said to be so."""

_MOST_FOR_EVENNESS_IN_BRANCHES = 40
"""The same where branches may come in any order, which makes so many more cuts equally fast."""


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
    return _Search(problem, oracle, options, on_round).run()


class _Search:
    """One search.  Cuts are numbers of places here, segments are operators at the edges."""

    def __init__(
        self, problem: Problem, oracle: LatencyOracle, options: SearchOptions, on_round: OnRound
    ) -> None:
        self._problem = problem
        self._baseline = options.baseline
        self._account = Account(problem, [oracle], on_round)
        (self._oracle,) = self._account.oracles
        self._places = problem.places
        self._allowed, self._tolls = problem.allowed_cuts(), problem.tolls()
        self._known = Knowledge(self._places, problem.features)
        for segment, latency in options.known.items():
            if self._places.find(segment) is not None:
                self._known.observe(segment, latency)
                self._oracle.answers[segment] = latency
        self._aims = Aims[Solution](problem, options, given=len(self._known))
        self._attention = Attention(problem, self._known)
        self._prospects = Prospects(problem)
        self._most_for_evenness = (
            _MOST_FOR_EVENNESS if problem.ideals is None else _MOST_FOR_EVENNESS_IN_BRANCHES
        )
        self._best: Solution | None = None
        self._evening_out = False
        self._effort = {False: 0, True: 0}
        self._spent = {False: 0, True: 0}

    def run(self) -> Partition:
        attention = self._attention
        tried: Sequence[Range] = self._problem.start
        whole = [self._problem.whole] if self._baseline else []
        self._measure([*tried, *whole], lambda _: False)
        self._solve()
        coarse = attention.sample(self._best)
        segments = attention.promising(self._best) if coarse is None else coarse
        while True:
            beliefs = self._known.beliefs(segments)
            bound = self._bound(beliefs) if segments is not coarse else 0.0
            self._record(tried, bound)
            outcome, step = self._decide(beliefs, bound)
            if step is None and segments is not attention.every:
                # Nothing is left of what was looked at; what was left out may have come back.
                segments = attention.promising(self._best)
                beliefs = self._known.beliefs(segments)
                bound = self._bound(beliefs)
                outcome, step = self._decide(beliefs, bound)
            if step is None:
                return self._finish(outcome, bound, beliefs)
            tried = self._problem.segments_between(step.cut)
            before = len(self._known)
            self._measure(self._missing(step, beliefs), step.ruled_out)
            self._spent[self._evening_out] += len(self._known) - before
            self._solve()
            if segments is coarse:
                segments = attention.promising(self._best)
            else:
                segments = attention.thinned(beliefs, self._best, evening_out=self._evening_out)

    def _solve(self) -> None:
        self._best = self._known.best(self._problem.num_segments, self._allowed, self._tolls)

    def _bound(self, beliefs: Beliefs) -> float:
        """A latency that no bottleneck is below; segments left out are above the best one."""
        lowest = self._prospects.least_bottleneck(beliefs)
        return lowest if self._best is None else min(lowest, self._best.bottleneck)

    def _decide(
        self, beliefs: Beliefs, bound: float
    ) -> tuple[Outcome, Step[tuple[int, ...]] | None]:
        """Why to end, or what to measure before."""
        outcome = self._aims.reached(self._best, bound, len(self._known))
        return outcome or "optimal", None if outcome is not None else self._next(beliefs)

    def _next(self, beliefs: Beliefs) -> Step[tuple[int, ...]] | None:
        """The cut to measure next; ``None`` when no cut can be better than the best one."""
        best, prospects = self._best, self._prospects
        step = self._aims.faster(
            best, lambda hopeful: prospects.fastest(beliefs, hopeful(beliefs.lower))
        )
        bar = np.inf if best is None else best.bottleneck
        self._evening_out = step is None
        if bar <= self._aims.ceiling_ns:
            self._effort[self._evening_out] += len(beliefs.segments)
        if step is not None:
            return step
        assert best is not None, "where nothing compiles there is nothing to even out"
        if self._spent[True] >= max(self._most_for_evenness, self._spent[False]):
            return None
        cuts = prospects.most_even(prospects.in_file_order(beliefs), best)
        if cuts is None:
            too_much = self._effort[True] > self._effort[False]
            if too_much and len(beliefs.segments) > FEW_SEGMENTS:
                return None
            cuts = prospects.most_even(beliefs, best)
        if cuts is not None:
            return Step(cuts, lambda latency: latency > bar or latency <= best.fastest, False)
        cuts = prospects.fewest_bytes(beliefs, best)
        if cuts is not None:
            return Step(cuts, lambda latency: latency > bar or latency < best.fastest, True)
        return None

    def _missing(self, step: Step[tuple[int, ...]], beliefs: Beliefs) -> list[Range]:
        """The segments of the cut that are to be measured, in the order to do it."""
        pairs = list(pairwise((0, *step.cut, len(self._places) - 1)))
        at, _ = beliefs.segments.find(*np.array(pairs, dtype=np.intp).T)
        order = np.argsort(beliefs.expected[at], kind="stable")
        segments = self._problem.segments_between(step.cut)
        ordered = [segments[i] for i in (order[::-1] if step.slowest_first else order)]
        return [segment for segment in ordered if self._known.latency(segment) is None]

    def _measure(self, segments: Sequence[Range], ruled_out: Callable[[float], bool]) -> None:
        """Measure in order, as many at once as there are devices, until the cut is ruled out."""
        at_once = max(1, self._oracle.parallelism)
        started = self._account.num_rounds > 0
        for low in range(0, len(segments), at_once):
            if started and self._aims.spent(len(self._known)):
                return
            batch = segments[low : low + at_once]
            answers = self._oracle.measure(batch)
            for segment, latency in zip(batch, answers, strict=True):
                self._known.observe(segment, latency)
            if started and any(a is None or ruled_out(float(a)) for a in answers):
                return

    def _record(self, tried: Sequence[Range], bound: float) -> None:
        latencies = [self._oracle.answers.get(segment) for segment in tried]
        self._account.add_round(tried, latencies, self._best, bound)

    def _finish(self, outcome: Outcome, bound: float, beliefs: Beliefs) -> Partition:
        best, outcome = self._aims.choice(self._best, outcome, self._account.num_rounds)
        return self._account.partition(
            self._problem.segments_between(best.cuts),
            strategy="optimal",
            outcome=outcome,
            lower_bound_ns=int(bound),
            least_gap_ns=self._prospects.least_gap(beliefs, best, bound),
            guard=self._known.guard,
            bases=(self._known.basis,),
            limit=self._aims.limit,
        )
