"""The strategy ``exhaustive``: measure every segment, then solve exactly.

It needs no assumption about latencies and no luck, only patience: ``m (m + 1) / 2`` segments for
``m`` places to cut.  For small models, and to check the other strategies against.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from partitioner.exact import min_bottleneck, solve
from partitioner.oracle import LatencyOracle, Recorder
from partitioner.paths import Solution
from partitioner.problem import NoFeasiblePartition, Outcome, Partition, Problem, Range, Round
from partitioner.strategy import (
    Budget,
    OnRound,
    SearchOptions,
    ignore_round,
    partition_of,
    round_of,
)


def try_everything(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions | None = None,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Measure all segments that some cut can have, and return the best cut.

    Thresholds and targets do not end it early; ``max_measurements`` and ``timeout_s`` do, with
    the best cut of what was measured.  Its lower bound then takes the rest to cost nothing.
    Raises :class:`NoFeasiblePartition`, and what the oracle raises.
    """
    options = options or SearchOptions()
    budget = Budget(options)
    seen = Recorder(oracle)
    positions, k = problem.positions, problem.num_segments
    m = len(positions)
    allowed = problem.allowed_cuts()
    toll = problem.tolls()
    costs = np.where(np.triu(np.ones((m, m), dtype=np.bool_), 1), 0.0, np.inf)
    known = np.full((m, m), np.inf)
    index = {position: i for i, position in enumerate(positions)}
    rounds: list[Round] = []
    best: Solution | None = None

    def measure(batch: list[Range]) -> None:
        for (first, end), latency in zip(batch, seen.measure(batch), strict=True):
            value = np.inf if latency is None else float(latency)
            costs[index[first], index[end]] = known[index[first], index[end]] = value

    def record(cuts: tuple[int, ...]) -> None:
        bound = min_bottleneck(costs, k, allowed)
        edges = [0, *cuts, problem.num_operators]
        entry = round_of(
            len(rounds),
            cuts,
            tuple(seen.answers[pair] for pair in pairwise(edges)),
            best_ns=None if best is None else (int(best.bottleneck), int(best.gap)),
            lower_bound_ns=int(bound) if np.isfinite(bound) else 0,
            measurements=seen.measurements,
        )
        rounds.append(entry)
        on_round(entry)

    edges = [0, *problem.start_cuts, problem.num_operators]
    start = list(pairwise(edges))
    measure(start)
    if options.baseline:
        seen.measure([(0, problem.num_operators)])
    best = solve(known, k, allowed=allowed, cut_bytes=toll)
    record(problem.start_cuts)
    outcome: Outcome = "optimal"
    at_once = max(1, seen.parallelism)
    for i in range(m - 1):
        wanted = [
            (positions[i], positions[j])
            for j in range(i + 1, m)
            if not np.isfinite(known[i, j]) and _occurs(i, j, m, k)
        ]
        wanted = [segment for segment in wanted if segment not in seen.answers]
        for low in range(0, len(wanted), at_once):
            spent = budget.spent(len(seen.answers))
            if spent is not None:
                outcome = spent
                break
            measure(wanted[low : low + at_once])
        better = solve(known, k, allowed=allowed, cut_bytes=toll)
        if better is not None and better != best:
            best = better
            record(tuple(positions[cut] for cut in best.cuts))
        if outcome != "optimal":
            break
    if best is None:
        raise NoFeasiblePartition(
            f"none of the ways to cut {problem.num_operators} operators into {k} segments that "
            f"were tried has only segments that compile ({len(seen.answers)} segments compiled)"
        )
    return partition_of(
        problem,
        seen,
        tuple(positions[cut] for cut in best.cuts),
        strategy="exhaustive",
        lower_bound_ns=int(min(best.bottleneck, min_bottleneck(costs, k, allowed))),
        least_gap_ns=int(best.gap) if outcome == "optimal" else 0,
        outcome=outcome,
        rounds=tuple(rounds),
    )


def _occurs(i: int, j: int, m: int, k: int) -> bool:
    """Whether a cut into ``k`` segments can have the segment from place ``i`` to ``j`` of ``m``."""
    before, behind = i, m - 1 - j
    if k == 1:
        return before == behind == 0
    ends = (before > 0) + (behind > 0)
    return 1 <= ends <= k - 1 and before + behind >= k - 1
