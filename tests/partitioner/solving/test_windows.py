"""Where cuts can be, against all cuts."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from partitioner.problem import Segments
from partitioner.solving.windows import windows_of

M = 9


@pytest.mark.parametrize("seed", range(40))
def test_no_cut_lies_outside(seed: int) -> None:
    random = np.random.default_rng(seed)
    every = Segments.all(M)
    some = [every.where(random.random(len(every)) < 0.2 + 0.02 * seed) for _ in range(1 + seed % 2)]
    offered = {pair for part in some for pair in zip(part.first, part.end, strict=True)}
    for k in range(1, M):
        windows = windows_of(some, k)
        for cuts in combinations(range(1, M - 1), k - 1):
            edges = (0, *cuts, M - 1)
            if offered.issuperset(pairwise(edges)):
                assert all(
                    low <= at <= high for at, (low, high) in zip(edges, windows, strict=True)
                )


def test_segments_that_are_not_long_leave_few_places() -> None:
    every = Segments.all(101)
    short = every.where(every.end - every.first <= 27)
    assert windows_of([short], 4) == [(0, 0), (19, 27), (46, 54), (73, 81), (100, 100)]
    assert all(low > high for low, high in windows_of([short], 3))


def test_those_that_start_in_a_window() -> None:
    every = Segments.all(M).where(np.arange(36) % 3 > 0)
    for low in range(M):
        for high in range(low - 1, M):
            part, found = every.starting(low, high)
            inside = (every.first >= low) & (every.first <= high)
            assert np.array_equal(np.flatnonzero(inside), np.arange(len(every))[part])
            assert np.array_equal(found.first, every.first[inside])
            assert np.array_equal(found.end, every.end[inside])
            values = np.arange(float(len(every)))
            assert np.array_equal(
                found.least(values[part]), every.least(np.where(inside, values, np.inf))
            )
