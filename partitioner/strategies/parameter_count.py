"""The strategies that do not search: ``parameter-count`` and ``manual``.

``parameter-count`` keeps the starting split, which has equal parameter bytes: what
``edgetpu_compiler --num_segments`` does, with its ``--order``.  ``manual`` keeps the cuts a user
gave.  Both are measured and reported like any other, to see what searching is worth.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from partitioner.problem import NoFeasiblePartition, Outcome, Partition, Problem
from partitioner.solving import Solution
from partitioner.strategies.account import Account
from partitioner.strategies.oracle import LatencyOracle
from partitioner.strategies.strategy import NO_LIMITS, OnRound, SearchOptions, alike, ignore_round


def keep(
    strategy: Literal["parameter-count", "manual"],
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions = NO_LIMITS,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Measure ``problem.start``.

    Raises :class:`NoFeasiblePartition` when a segment of it does not compile.
    """
    account = Account(problem, [alike(problem, oracle)], on_round)
    (seen,) = account.oracles
    start, by_count = problem.start, strategy == "parameter-count"
    whole = [problem.whole] if options.baseline else []
    latencies = seen.measure([*start, *whole])[: len(start)]
    if None in latencies:
        cuts = "the split by parameter count" if by_count else "the cuts given"
        raise NoFeasiblePartition(
            f"segment {latencies.index(None)} of {cuts} does not compile; "
            "the strategy optimal searches for cuts that do"
        )
    numbers = [latency for latency in latencies if latency is not None]
    account.add_round(start, latencies, Solution(problem.start_cuts, max(numbers), min(numbers)))
    outcome: Outcome = "heuristic" if by_count else "given"
    return account.partition(start, strategy=strategy, outcome=outcome)


keep_start = partial(keep, "parameter-count")
"""The strategy ``parameter-count``."""

keep_given = partial(keep, "manual")
"""The strategy ``manual``."""
