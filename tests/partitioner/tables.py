"""Features of segments that a test gives as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from partitioner.problem import Features, Places


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
