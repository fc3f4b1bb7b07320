"""Costs as tables over two places, put to the solver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.problem import Segments
from partitioner.solving import Offer, Solution, best_cuts


def offers_of(costs: Sequence[np.ndarray], counts: Sequence[int]) -> list[Offer]:
    """For each kind of device the finite costs above the diagonal of its table."""
    offers = []
    for table, count in zip(costs, counts, strict=True):
        first, end = np.nonzero(np.triu(np.isfinite(table), 1))
        offers.append(Offer(Segments(len(table), first, end), table[first, end], count))
    return offers


def solve(costs: np.ndarray, k: int) -> Solution | None:
    """The best cut into ``k`` segments on devices that are alike."""
    return best_cuts(offers_of([costs], [k]), k)
