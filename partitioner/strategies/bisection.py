"""The strategy ``bisection``: the search of Google's ``partition_with_profiling``.

It halves an interval of latencies to aim at.  For each target, every segment but the last takes
the longest run of operators that meets it, tried from long to short and with backtracking; the
last takes what is left, and its latency tells on which side of the target to go on::

    lower, upper = fastest and slowest segment of the split by parameter count
    while upper - lower > threshold
        target = (lower + upper) / 2
        last   = latency of the last segment when all others are at most target
        last < target  ->  upper = target
        otherwise      ->  upper = min(upper, last), lower = target

A segment never asked for before has the whole candidate compiled and measured, all segments of
it.  It is kept as a baseline, as faithful as its description allows, but for its faults:

- The loop that gives the segments behind the current one a single step started at a wrong one,
  which ended the tool with five segments or more.
- Equal bounds, a split balanced from the start and a search that improves on nothing ended
  without a result; here they end with the best cut measured.
- An interval of one nanosecond could not be halved and was halved for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from partitioner.problem import (
    NoFeasiblePartition,
    Outcome,
    Partition,
    Problem,
    Range,
    ranges_of,
)
from partitioner.solving import Solution
from partitioner.strategies.account import Account
from partitioner.strategies.oracle import LatencyOracle
from partitioner.strategies.strategy import (
    NO_LIMITS,
    Budget,
    OnRound,
    SearchOptions,
    alike,
    ignore_round,
)

Sizes = tuple[int, ...]
"""Operators per segment."""


class _Spent(Exception):
    """The budget ends the search."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome: Outcome = outcome


@dataclass
class LongestPrefixes:
    """Candidates for a target latency: each segment the longest run of operators that meets it.

    ``latency(sizes, segment)`` compiles and measures; ``None`` when that is not possible.
    ``step`` operators move at a time; the last segment holds at least ``last`` of the ``total``.
    """

    total: int
    num_segments: int
    step: int
    last: int
    latency: Callable[[Sizes, int], int | None]
    _sizes: list[int] = field(default_factory=list)

    def find(self, target_ns: int) -> tuple[int, Sizes] | None:
        """Latency of the last segment, and the sizes, when all others are at most the target."""
        self._sizes = [self.step] * self.num_segments
        if not self._extend(0, target_ns):
            return None
        sizes = tuple(self._sizes)
        last = self.latency(sizes, self.num_segments - 1)
        return None if last is None else (last, sizes)

    def _extend(self, segment: int, target_ns: int) -> bool:
        sizes, n = self._sizes, self.num_segments
        if segment == n - 1:
            return True
        sizes[segment + 1 : n - 1] = [self.step] * (n - 2 - segment)
        sizes[n - 1] = self.last
        sizes[segment] = self.total - sum(sizes[:segment]) - sum(sizes[segment + 1 :])
        while sizes[segment] > 0:
            found = self.latency(tuple(sizes), segment)
            if found is not None and found <= target_ns and self._extend(segment + 1, target_ns):
                return True
            moved = min(sizes[segment], self.step)
            sizes[segment] -= moved
            sizes[segment + 1] += moved
        return False


def bisect(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions = NO_LIMITS,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Bisect the target latency until the interval is at most ``options.diff_threshold_ns``.

    The interval is ``target_ns`` to ``ceiling_ns`` if both are given, else that of the starting
    split.  Raises :class:`NoFeasiblePartition`, and what the oracle raises.
    """
    return _Bisection(problem, oracle, options, on_round).run()


class _Bisection:
    def __init__(
        self, problem: Problem, oracle: LatencyOracle, options: SearchOptions, on_round: OnRound
    ) -> None:
        self._problem = problem
        self._account = Account(problem, [alike(problem, oracle)], on_round)
        (self._oracle,) = self._account.oracles
        self._options = options
        self._budget = Budget(options)
        self._latencies: dict[Range, int] = {}
        self._failed: set[Range] = set()
        self._best_measured: Solution | None = None
        self._compiler_runs = 0

    def run(self) -> Partition:
        problem, options = self._problem, self._options
        if options.baseline:
            self._oracle.measure([problem.whole])
        lower, upper = options.target_ns, options.ceiling_ns
        if lower is None or upper is None:
            # One run of the compiler cuts and compiles all segments of this split.
            self._compiler_runs += 1
            start = self._profile(problem.start_cuts)
            lower, upper = (0, 0) if start is None else (min(start), max(start))
        found: tuple[int, ...] | None = None
        outcome: Outcome = "interval"
        try:
            found = self._bisect(lower, upper)
        except _Spent as spent:
            outcome = spent.outcome
        if not self._account.num_rounds:
            self._compiler_runs += 1
            self._profile(problem.start_cuts)
        cuts = found or (None if self._best_measured is None else self._best_measured.cuts)
        if cuts is None:
            raise NoFeasiblePartition(
                f"none of the {self._account.num_rounds} cuts tried compiles in all its segments; "
                "the strategy optimal searches further"
            )
        return self._account.partition(
            ranges_of(cuts, problem.num_operators),
            strategy="bisection",
            outcome=outcome,
            compiler_runs=self._compiler_runs + problem.num_segments,
        )

    def _bisect(self, lower: int, upper: int) -> tuple[int, ...] | None:
        """The last candidate that improved on the upper bound, as the tool would return it."""
        problem = self._problem
        total = problem.num_operators
        first_output = total - 1 if problem.first_output is None else problem.first_output
        candidates = LongestPrefixes(
            total=total,
            num_segments=problem.num_segments,
            step=problem.step,
            last=max(total - first_output, problem.step),
            latency=self._latency,
        )
        best: Sizes | None = None
        while upper - lower > self._options.diff_threshold_ns:
            target = (lower + upper) // 2
            found = candidates.find(target)
            stuck = target == lower
            if found is not None and found[0] < target:
                best, upper = found[1], target
            else:
                if found is not None and found[0] < upper:
                    upper, best = found
                lower = target
            if stuck:
                break
        return None if best is None else _cuts_of(best)

    def _latency(self, sizes: Sizes, segment: int) -> int | None:
        """One segment's latency; all the candidate's segments are measured if it is not known."""
        cuts = _cuts_of(sizes)
        ranges = ranges_of(cuts, self._problem.num_operators)
        if ranges[segment] not in self._latencies:
            if not self._failed.isdisjoint(ranges):
                return None
            spent = self._budget.spent(len(self._oracle.answers))
            if spent is not None:
                raise _Spent(spent)
            self._compiler_runs += len(ranges)
            latencies = self._profile(cuts)
            if latencies is None:
                return None
            self._latencies.update(zip(ranges, latencies, strict=True))
        return self._latencies[ranges[segment]]

    def _profile(self, cuts: tuple[int, ...]) -> tuple[int, ...] | None:
        """Compile and measure all segments; ``None`` if one of them does not compile."""
        ranges = ranges_of(cuts, self._problem.num_operators)
        answers = tuple(self._oracle.measure(ranges))
        numbers = tuple(answer for answer in answers if answer is not None)
        complete = len(numbers) == len(answers)
        if complete:
            found, best = Solution(cuts, max(numbers), min(numbers)), self._best_measured
            if best is None or (found.bottleneck, found.gap) < (best.bottleneck, best.gap):
                self._best_measured = found
        else:
            self._failed.update(
                segment for segment, answer in zip(ranges, answers, strict=True) if answer is None
            )
        self._account.add_round(ranges, answers, self._best_measured)
        return numbers if complete else None


def _cuts_of(sizes: Sizes) -> tuple[int, ...]:
    ends = tuple(accumulate(sizes))
    assert all(a < b for a, b in pairwise((0, *ends))), "segments are not empty"
    return ends[:-1]
