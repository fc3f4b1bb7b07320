"""Where a search begins: at the split it is given, or where published constants suggest.

Constants suggest, they never prove.  What they are wrong about costs measurements; all that is said
of segments follows from measurements alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.problem import Array, Problem
from partitioner.solving import Offer, cheapest_cuts, least_bottleneck
from partitioner.strategies.attention import between_some
from partitioner.strategies.prospects import Prospect
from partitioner.strategies.strategy import Kind

_MOST_SEGMENTS = 250_000
"""So many are looked at; of longer models, those between some of the places."""


def suggested_cut(
    problem: Problem, kinds: Sequence[Kind], counts: Sequence[int]
) -> Prospect | None:
    """The cut that is the fastest if segments take what the kinds' ``rates`` say; of equally fast
    ones that with the fewest bytes across.

    ``None`` where a kind has none, nothing is known of what segments have of each feature, or
    there is no such cut.
    """
    if problem.features is None or not all(kind.rates for kind in kinds):
        return None
    segments = between_some(problem.places, _MOST_SEGMENTS, ())
    design = problem.features.design(segments.first, segments.end)
    costs = [design @ _rates(problem.features.names, kind) for kind in kinds]
    offers = [Offer(segments, ns, count) for ns, count in zip(costs, counts, strict=True)]
    k, allowed = problem.num_segments, problem.allowed_cuts()
    bottleneck = least_bottleneck(offers, k, allowed)
    fast = [offer.where(offer.costs <= bottleneck) for offer in offers]
    return cheapest_cuts(fast, k, allowed=allowed, tolls=problem.tolls())


def _rates(names: Sequence[str], kind: Kind) -> Array:
    return np.array([kind.rates.get(name, 0.0) for name in names])
