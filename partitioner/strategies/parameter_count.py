"""The strategies that do not search: ``parameter-count`` and ``manual``.

``parameter-count`` keeps the starting split, which has equal parameter bytes: what
``edgetpu_compiler --num_segments`` does.  ``manual`` keeps the cuts a user gave.  Both are
measured and reported like any other, to see what searching is worth.
"""

from __future__ import annotations

from partitioner.problem import NoFeasiblePartition, Outcome, Partition, Problem, ranges_of
from partitioner.strategies.oracle import LatencyOracle, Recorder
from partitioner.strategies.strategy import (
    OnRound,
    Rounds,
    SearchOptions,
    ignore_round,
    partition_of,
    value_of,
)


def keep_start(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions | None = None,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Measure the split by parameter count, ``problem.start_cuts``.

    Raises :class:`NoFeasiblePartition` when a segment of it does not compile.
    """
    options = options or SearchOptions()
    return _measured(problem, oracle, options, on_round, "parameter-count", "heuristic")


def keep_given(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions | None = None,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Measure the cuts a user gave, ``problem.start_cuts``.

    Raises :class:`NoFeasiblePartition` when a segment between them does not compile.
    """
    return _measured(problem, oracle, options or SearchOptions(), on_round, "manual", "given")


def _measured(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions,
    on_round: OnRound,
    strategy: str,
    outcome: Outcome,
) -> Partition:
    seen = Recorder(oracle)
    ranges = ranges_of(problem.start_cuts, problem.num_operators)
    whole = [(0, problem.num_operators)] if options.baseline else []
    latencies = tuple(seen.measure([*ranges, *whole])[: len(ranges)])
    if None in latencies:
        cuts = "the split by parameter count" if outcome == "heuristic" else "the cuts given"
        raise NoFeasiblePartition(
            f"segment {latencies.index(None)} of {cuts} does not compile; "
            "the strategy optimal searches for cuts that do"
        )
    rounds = Rounds(on_round)
    value = value_of(problem.start_cuts, [latency for latency in latencies if latency is not None])
    rounds.record(ranges, latencies, best=value, measurements=seen.measurements)
    return partition_of(
        problem,
        seen,
        ranges,
        strategy=strategy,
        lower_bound_ns=0,
        outcome=outcome,
        rounds=rounds,
    )
