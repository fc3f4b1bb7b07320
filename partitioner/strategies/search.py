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

Of a model of thousands of operators, most segments are far too long or lead nowhere.  They are
left out while the search goes on, and looked at again before it ends: nothing is called proven
that was not proven for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from partitioner.beliefs import Beliefs, Knowledge
from partitioner.problem import (
    Outcome,
    Partition,
    Problem,
    Range,
    Segments,
    ranges_of,
)
from partitioner.solving import (
    Solution,
    on_some_path,
)
from partitioner.strategies.ending import Ending
from partitioner.strategies.hopes import Hopes
from partitioner.strategies.oracle import LatencyOracle, Recorder
from partitioner.strategies.strategy import (
    OnRound,
    Rounds,
    SearchOptions,
    ignore_round,
    partition_of,
)

_MOST_FOR_EVENNESS = 120
"""Measurements spent on the gap and the bytes at least, once the bottleneck is proven; at most as
many as that took, and of large models no more effort.  Their many segments differ by less than
can be told without measuring them; what is not proven then is said to be so."""

_MOST_FOR_EVENNESS_IN_BRANCHES = 40
"""The same where branches may come in any order, which makes so many more cuts equally fast."""

_FEW_SEGMENTS = 10_000
"""As long as there are no more segments than this, all are looked at in every round."""


def search_optimal(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions | None = None,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Find the cut with the lowest bottleneck, then smallest gap, then fewest bytes; prove it.

    Never returns a cut slower than the best it measured, unless that one is less even than
    ``diff_threshold_ns`` allows and another is not.  ``on_round`` is called after each
    round.  Raises :class:`NoFeasiblePartition`, and what the oracle raises.
    """
    return _Search(problem, oracle, options or SearchOptions(), on_round).run()


@dataclass(frozen=True)
class _Step:
    """A cut to measure, which latencies of its segments rule it out, and where to begin."""

    cuts: tuple[int, ...]
    ruled_out: Callable[[float], bool]
    slowest_first: bool


class _Search:
    """One search.  Cuts are numbers of places here, segments are operators at the edges."""

    def __init__(
        self,
        problem: Problem,
        oracle: LatencyOracle,
        options: SearchOptions,
        on_round: OnRound,
    ) -> None:
        self._problem = problem
        self._oracle = Recorder(oracle)
        self._options = options
        self._ending = Ending[Solution](problem, options)
        self._places = problem.places
        self._k = problem.num_segments
        self._allowed = problem.allowed_cuts()
        self._tolls = problem.tolls()
        self._hopes = Hopes(self._k, self._allowed, self._tolls)
        self._known = Knowledge(self._places, problem.features)
        for segment, latency in options.known.items():
            if self._places.find(segment) is not None:
                self._known.observe(segment, latency)
                self._oracle.answers[segment] = latency
        self._given = len(self._known)
        self._all = self._places.segments()
        self._most_for_evenness = (
            _MOST_FOR_EVENNESS if problem.ideals is None else _MOST_FOR_EVENNESS_IN_BRANCHES
        )
        self._rounds = Rounds(on_round)
        self._best: Solution | None = None
        self._evening_out = False
        self._effort = {False: 0, True: 0}
        self._spent = {False: 0, True: 0}

    def run(self) -> Partition:
        problem = self._problem
        tried: Sequence[Range] = ranges_of(problem.start_cuts, problem.num_operators)
        whole = [(0, problem.num_operators)] if self._options.baseline else []
        self._measure([*tried, *whole], lambda _: False)
        self._solve()
        coarse = self._sample()
        segments = self._worth_looking_at() if coarse is None else coarse
        while True:
            beliefs = self._known.beliefs(segments)
            bound = self._bound(beliefs) if segments is not coarse else 0.0
            self._record(tried, bound)
            outcome = self._enough(bound)
            step = None if outcome is not None else self._next(beliefs)
            if step is None and segments is not self._all:
                # Nothing is left of what was looked at; what was left out may have come back.
                segments = self._worth_looking_at()
                beliefs = self._known.beliefs(segments)
                bound = self._bound(beliefs)
                outcome = self._enough(bound)
                step = None if outcome is not None else self._next(beliefs)
            if step is None:
                return self._finish(outcome or "optimal", bound, beliefs)
            pairs = list(pairwise((0, *step.cuts, len(self._places) - 1)))
            tried = self._problem.segments_between(step.cuts)
            at, _ = segments.find(*np.array(pairs, dtype=np.intp).T)
            order = np.argsort(beliefs.expected[at], kind="stable")
            missing = [tried[i] for i in (order[::-1] if step.slowest_first else order)]
            before = len(self._known)
            self._measure([s for s in missing if self._known.latency(s) is None], step.ruled_out)
            self._spent[self._evening_out] += len(self._known) - before
            self._solve()
            sampled = segments is coarse
            segments = self._worth_looking_at() if sampled else self._thinned(beliefs)

    def _solve(self) -> None:
        self._best = self._known.best(self._k, self._allowed, self._tolls)

    def _bar(self) -> float:
        """The bottleneck above which no cut is of interest."""
        return np.inf if self._best is None else self._best.bottleneck

    def _bound(self, beliefs: Beliefs) -> float:
        """A latency that no bottleneck is below; segments left out are above the best one."""
        return min(self._hopes.bound(beliefs), self._bar())

    def _sample(self) -> Segments | None:
        """Segments between some of the places, the starting cuts among them, of a long model.

        The starting split can be several times slower than the best cut, and then rules little out.
        A cut between few places that is expected to be fast costs little to find, and rules out
        most of all others.
        """
        if len(self._all) <= _FEW_SEGMENTS or self._best is None:
            return None
        places = self._all.num_places
        some = np.linspace(0, places - 1, int(np.sqrt(2 * _FEW_SEGMENTS))).astype(np.intp)
        chosen = np.zeros(places, dtype=np.bool_)
        chosen[[*some, *self._best.cuts]] = True
        return self._all.where(chosen[self._all.first] & chosen[self._all.end])

    def _worth_looking_at(self) -> Segments:
        """All segments but those that cannot be part of a cut as fast as the best one."""
        if len(self._all) <= _FEW_SEGMENTS or self._best is None:
            return self._all
        segments = self._all.where(self._known.bound_by_parts(self._all) <= self._bar())
        return segments.where(on_some_path(segments, self._k, self._allowed))

    def _thinned(self, beliefs: Beliefs) -> Segments:
        """The same after another round, if it has become much less."""
        segments = beliefs.segments
        if len(segments) <= _FEW_SEGMENTS or self._best is None:
            return segments
        wanted = beliefs.lower <= self._bar()
        if self._evening_out:
            wanted &= beliefs.upper >= self._best.fastest
        fewer = segments.where(wanted)
        fewer = fewer.where(on_some_path(fewer, self._k, self._allowed))
        return fewer if len(fewer) < 0.9 * len(segments) else segments

    def _enough(self, bound: float) -> Outcome | None:
        return self._ending.reason(self._best, bound, len(self._known), given=self._given)

    def _next(self, beliefs: Beliefs) -> _Step | None:
        """The cut to measure next; ``None`` when no cut can be better than the best one."""
        best, bar = self._best, self._bar()
        if self._ending.ceiling < bar:
            cuts = self._hopes.fastest_expected(beliefs, beliefs.lower <= self._ending.ceiling)
            if cuts is not None:
                return _Step(cuts, lambda latency: latency > self._ending.ceiling, True)
            self._ending.ceiling = np.inf  # nothing is that fast: go on for the best there is
        cuts = self._hopes.fastest_expected(beliefs, beliefs.lower < bar)
        self._evening_out = cuts is None
        self._effort[self._evening_out] += len(beliefs.segments)
        if cuts is not None:
            return _Step(cuts, lambda latency: latency >= bar, True)
        if best is None:
            raise self._ending.nothing_compiles()
        if self._spent[True] >= max(self._most_for_evenness, self._spent[False]):
            return None
        cuts = self._hopes.most_even_expected(self._in_file_order(beliefs), best)
        if cuts is None:
            too_much = self._effort[True] > self._effort[False]
            if too_much and len(beliefs.segments) > _FEW_SEGMENTS:
                return None
            cuts = self._hopes.most_even_expected(beliefs, best)
        if cuts is not None:
            return _Step(cuts, lambda latency: latency > bar or latency <= best.fastest, False)
        cuts = self._hopes.fewest_bytes_hoped(beliefs, best)
        if cuts is not None:
            return _Step(cuts, lambda latency: latency > bar or latency < best.fastest, True)
        return None

    def _in_file_order(self, beliefs: Beliefs) -> Beliefs:
        """The beliefs on what lies in the order of the file, which is little; else nothing."""
        segments, ideals = beliefs.segments, self._problem.ideals
        if ideals is None:
            here = np.zeros(len(segments), dtype=np.bool_)
        else:
            here = ideals.in_file_order(segments)
        return Beliefs(
            segments.where(here), beliefs.lower[here], beliefs.expected[here], beliefs.upper[here]
        )

    def _measure(self, segments: Sequence[Range], ruled_out: Callable[[float], bool]) -> None:
        """Measure in order, as many at once as there are devices, until the cut is ruled out."""
        at_once = max(1, self._oracle.parallelism)
        for low in range(0, len(segments), at_once):
            if self._rounds and self._ending.spent(len(self._known) - self._given):
                return
            batch = segments[low : low + at_once]
            answers = self._oracle.measure(batch)
            for segment, latency in zip(batch, answers, strict=True):
                self._known.observe(segment, latency)
            if self._rounds and any(a is None or ruled_out(float(a)) for a in answers):
                return

    def _record(self, tried: Sequence[Range], bound: float) -> None:
        self._rounds.record(
            tried,
            [self._oracle.answers.get(segment) for segment in tried],
            best=self._best,
            bound=bound,
            measurements=self._oracle.measurements,
        )

    def _finish(self, outcome: Outcome, bound: float, beliefs: Beliefs) -> Partition:
        self._best, outcome = self._ending.choice(self._best, outcome, len(self._rounds))
        proven = bound >= self._best.bottleneck
        return partition_of(
            self._problem,
            self._oracle,
            self._problem.segments_between(self._best.cuts),
            strategy="optimal",
            lower_bound_ns=int(bound),
            least_gap_ns=self._hopes.least_gap(beliefs, self._best) if proven else 0,
            outcome=outcome,
            guard=self._known.guard,
            rounds=self._rounds,
        )
