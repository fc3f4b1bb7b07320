"""The strategy ``exhaustive``: measure every segment, then solve exactly.

It needs no assumption about latencies and no luck, only patience: ``m (m - 1) / 2`` segments for
``m`` places along one order, more where branches may run in any.  For small models, and to check
the other strategies against.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.problem import NoFeasiblePartition, Outcome, Partition, Problem, Range
from partitioner.solving import Offer, Solution, best_cuts, least_bottleneck, on_some_path
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


def try_everything(
    problem: Problem,
    oracle: LatencyOracle,
    options: SearchOptions = NO_LIMITS,
    on_round: OnRound = ignore_round,
) -> Partition:
    """Measure all segments that some cut can have, and return the best cut.

    Thresholds and targets do not end it early; ``max_measurements`` and ``timeout_s`` do, with
    the best cut of what was measured.  Its lower bound then takes the rest to cost nothing.
    Raises :class:`NoFeasiblePartition`, and what the oracle raises.
    """
    budget = Budget(options)
    account = Account(problem, [alike(problem, oracle)], on_round)
    (seen,) = account.oracles
    places, k = problem.places, problem.num_segments
    allowed, toll = problem.allowed_cuts(), problem.tolls()
    segments = places.segments()
    (possible,) = on_some_path([segments], k)
    costs = np.zeros(len(segments))  # what was not measured could cost nothing
    known = np.full(len(segments), np.inf)
    best: Solution | None = None

    def measure(batch: Sequence[Range]) -> None:
        for segment, latency in zip(batch, seen.measure(batch), strict=True):
            pair = places.find(segment)
            if pair is not None:
                at, here = segments.find(*places.wherever(*np.array([pair]).T)[:2])
                costs[at[here]] = known[at[here]] = np.inf if latency is None else float(latency)

    def bound() -> float:
        return least_bottleneck([Offer(segments, costs, k)], k, allowed)

    def record(tried: Sequence[Range]) -> None:
        account.add_round(tried, [seen.answers[segment] for segment in tried], best, bound())

    def solve() -> Solution | None:
        measured = Offer(segments, known, k).where(np.isfinite(known))
        return best_cuts([measured], k, allowed=allowed, tolls=toll)

    measure(problem.start)
    if options.baseline:
        seen.measure([problem.whole])
    best = solve()
    record(problem.start)
    outcome: Outcome = "optimal"
    at_once = max(1, seen.parallelism)
    for i in range(len(places) - 1):
        ends = segments.end[possible & (segments.first == i)]
        every = dict.fromkeys(places.operators(i, int(j)) for j in ends)
        wanted = [segment for segment in every if segment not in seen.answers]
        for low in range(0, len(wanted), at_once):
            spent = budget.spent(len(seen.answers))
            if spent is not None:
                outcome = spent
                break
            measure(wanted[low : low + at_once])
        better = solve() if wanted else best
        if better is not None and better != best:
            best = better
            record(problem.segments_between(best.cuts))
        if outcome != "optimal":
            break
    if best is None:
        raise NoFeasiblePartition(
            f"none of the ways to cut {problem.num_operators} operators into {k} segments that "
            f"were tried has only segments that compile ({len(seen.answers)} segments compiled)"
        )
    return account.partition(
        problem.segments_between(best.cuts),
        strategy="exhaustive",
        lower_bound_ns=int(min(best.bottleneck, bound())),
        outcome=outcome,
    )
