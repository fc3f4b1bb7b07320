"""Costs and features that a test gives as tables over two places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from partitioner.problem import Features, Places, Segments
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


@dataclass(frozen=True)
class Tables:
    """By name ``m x m`` tables, of which entry ``[i, j]`` is for the segment between two places."""

    by_name: Mapping[str, np.ndarray]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.by_name)

    def at(self, first: np.ndarray, end: np.ndarray) -> np.ndarray:
        return np.stack([table[first, end] for table in self.by_name.values()], axis=1)


def features_of(
    places: Places,
    boundary: Mapping[str, np.ndarray],
    inside: Mapping[str, np.ndarray],
    per_operator: Mapping[str, np.ndarray],
) -> Features:
    """The features of segments between ``places`` that are in the tables."""
    return Features(places, Tables(boundary), Tables(inside), per_operator)


def table(features: Features, name: str) -> np.ndarray:
    """A feature of all segments as such a table; 0 where there is no segment."""
    m = len(features.places)
    first, end = np.triu_indices(m, 1)
    result = np.zeros((m, m))
    result[first, end] = features.design(first, end)[:, features.names.index(name)]
    return result
