"""The exact solver against trying every cut."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner.solving import (
    best_cuts,
    cheapest_cuts,
    greatest_fastest,
    least_bottleneck,
    least_through,
)
from tests.partitioner.tables import offers_of, solve


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, int, np.ndarray | None, np.ndarray]:
    """Arbitrary costs with many ties, forbidden segments, allowed positions, bytes per cut."""
    m = draw(st.integers(2, 8))
    k = draw(st.integers(1, m - 1))
    cost = st.one_of(st.integers(0, 6).map(float), st.just(np.inf))
    costs = np.full((m, m), np.inf)
    for i in range(m):
        for j in range(i + 1, m):
            costs[i, j] = draw(cost)
    allowed = None
    if draw(st.booleans()):
        allowed = np.array(
            draw(st.lists(st.booleans(), min_size=(k - 1) * m, max_size=(k - 1) * m))
        )
        allowed = allowed.astype(np.bool_).reshape(k - 1, m)
    toll = np.array(draw(st.lists(st.integers(0, 3), min_size=m, max_size=m)), dtype=np.float64)
    return costs, k, allowed, toll


def enumerate_cuts(
    costs: np.ndarray, k: int, allowed: np.ndarray | None, toll: np.ndarray
) -> list[tuple[float, float, float, tuple[int, ...]]]:
    """(bottleneck, gap, bytes, cuts) of every cut without a forbidden segment, best first."""
    m = len(costs)
    found = []
    for cuts in combinations(range(1, m - 1), k - 1):
        if allowed is not None and not all(allowed[i, c] for i, c in enumerate(cuts)):
            continue
        values = [costs[a, b] for a, b in pairwise((0, *cuts, m - 1))]
        if max(values) < np.inf:
            found.append((max(values), max(values) - min(values), sum(toll[c] for c in cuts), cuts))
    return sorted(found)


@settings(max_examples=400, deadline=None)
@given(tables())
def test_solution_is_the_lexicographic_optimum(
    case: tuple[np.ndarray, int, np.ndarray | None, np.ndarray],
) -> None:
    costs, k, allowed, toll = case
    found = enumerate_cuts(costs, k, allowed, toll)
    offers = offers_of([costs], [k])
    solution = best_cuts(offers, k, allowed=allowed, tolls=toll)
    if not found:
        assert solution is None
        assert least_bottleneck(offers, k, allowed) == np.inf
        return
    assert solution is not None
    bottleneck, gap, _, cuts = found[0]
    assert (solution.bottleneck, solution.gap) == (bottleneck, gap)
    assert solution.cuts == cuts  # the leftmost of those with the fewest bytes
    assert least_bottleneck(offers, k, allowed) == bottleneck


@settings(max_examples=200, deadline=None)
@given(tables(), st.integers(0, 6))
def test_fastest_segment_is_as_slow_as_the_ceiling_allows(
    case: tuple[np.ndarray, int, np.ndarray | None, np.ndarray], ceiling: int
) -> None:
    costs, k, allowed, toll = case
    values = enumerate_cuts(costs, k, allowed, toll)
    minima = [b - g for b, g, _, _ in values if b <= ceiling]
    assert greatest_fastest(offers_of([costs], [k]), k, ceiling, allowed) == max(
        minima, default=-np.inf
    )


def test_what_lies_below_the_diagonal_is_ignored() -> None:
    costs = np.zeros((4, 4))
    costs[0, 1], costs[0, 2], costs[0, 3] = 5, 9, 20
    costs[1, 2], costs[1, 3], costs[2, 3] = 3, 8, 4
    solution = solve(costs, 2)
    assert solution is not None
    assert (solution.cuts, solution.bottleneck, solution.gap) == ((1,), 8, 3)


def test_path_avoids_unusable_segments() -> None:
    usable = np.full((4, 4), np.inf)
    usable[0, 2] = usable[2, 3] = 0.0
    assert cheapest_cuts(offers_of([usable], [3]), 2) == ((2,), (0, 0))
    assert cheapest_cuts(offers_of([usable], [3]), 3) is None
    assert cheapest_cuts(offers_of([usable], [1]), 2) is None


@pytest.mark.parametrize("m", [513, 1300])
def test_blocks_of_columns_join_seamlessly(m: int) -> None:
    """Additive costs have a closed form: equal operators in equal segments."""
    ends = np.arange(m, dtype=np.float64)
    costs = np.where(ends[None, :] > ends[:, None], ends[None, :] - ends[:, None], np.inf)
    assert least_bottleneck(offers_of([costs], [4]), 4) == -(-(m - 1) // 4)


@settings(max_examples=200, deadline=None)
@given(tables())
def test_least_through_is_over_the_cuts_that_a_segment_is_part_of(
    case: tuple[np.ndarray, int, np.ndarray | None, np.ndarray],
) -> None:
    costs, k, allowed, toll = case
    (offer,) = offers_of([costs], [k])
    if not len(offer.segments):
        return
    every = enumerate_cuts(costs, k, allowed, toll)
    (found,) = least_through([offer], k, allowed)
    for a, b, value in zip(offer.segments.first, offer.segments.end, found, strict=True):
        edges = [(worst, (0, *cuts, len(costs) - 1)) for worst, _, _, cuts in every]
        through = [worst for worst, places in edges if (a, b) in pairwise(places)]
        assert value == min(through, default=np.inf)
