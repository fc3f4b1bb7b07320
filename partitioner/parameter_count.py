"""The strategy ``parameter-count``: keep the starting split, which has equal parameter bytes.

This is what ``edgetpu_compiler --num_segments`` does.  It is measured and reported like any
other, to see what searching is worth.
"""

from __future__ import annotations

from partitioner.oracle import LatencyOracle
from partitioner.problem import Guard, NoFeasiblePartition, Partition, Problem, Round, ranges_of
from partitioner.strategy import OnRound, SearchOptions, ignore_round, partition_of


def keep_start(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions | None = None,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Measure the starting split and return it.  Raises :class:`NoFeasiblePartition`."""
    options = options or SearchOptions()
    ranges = ranges_of(problem.start_cuts, problem.num_operators)
    whole = [(0, problem.num_operators)] if options.baseline else []
    latencies = tuple(oracle.measure([*ranges, *whole])[: len(ranges)])
    numbers = [latency for latency in latencies if latency is not None]
    if len(numbers) < len(latencies):
        raise NoFeasiblePartition(
            f"segment {latencies.index(None)} of the split by parameter count does not compile; "
            "the strategy optimal searches for cuts that do"
        )
    entry = Round(
        index=0,
        cuts=problem.start_cuts,
        latencies_ns=latencies,
        bottleneck_ns=max(numbers),
        gap_ns=max(numbers) - min(numbers),
        best_bottleneck_ns=max(numbers),
        best_gap_ns=max(numbers) - min(numbers),
        lower_bound_ns=0,
        measurements=oracle.measurements,
    )
    on_round(entry)
    balanced = max(numbers) - min(numbers) < options.diff_threshold_ns
    return partition_of(
        problem,
        oracle,
        problem.start_cuts,
        strategy="parameter-count",
        lower_bound_ns=0,
        outcome="balanced" if balanced else "heuristic",
        guard=Guard(),
        rounds=(entry,),
    )
