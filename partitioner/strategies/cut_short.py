"""The best cut of what was measured when a search was ended in the middle of a measurement.

The search itself has no answer then.  What it measured is solved for once more, exactly, and bounds
the other cuts as it would have at the end of a search.
"""

from __future__ import annotations

from collections.abc import Sequence

from partitioner.problem import Partition, Problem, Round
from partitioner.strategies.account import Account
from partitioner.strategies.prospects import Prospects
from partitioner.strategies.strategy import Kind, ignore_round


def best_of_known(
    problem: Problem, kinds: Sequence[Kind], strategy: str, rounds: Sequence[Round]
) -> Partition | None:
    """The best cut into segments that are known on ``kinds``; ``rounds`` are those of the search.

    ``None`` if no cut is made of such segments alone.  What follows for others is left to reports,
    which work it out from what was measured.
    """
    account = Account(problem, kinds, ignore_round, rounds)
    known = account.knowledge()
    best = Prospects(problem, account.counts).best(known)
    if best is None:
        return None
    for one in known:
        one.near(best.bottleneck)
    segments = problem.segments_between(best.cuts)
    pairs = zip(segments, best.kinds, strict=True)
    account.add_round(segments, [account.oracles[k].answers[s] for s, k in pairs], best)
    return account.partition(
        segments,
        best.kinds,
        strategy=strategy,
        outcome="timeout",
        limit="timeout",
        bases=tuple(one.basis for one in known) if strategy == "optimal" else (),
    )
