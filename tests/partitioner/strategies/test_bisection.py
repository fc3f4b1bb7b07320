"""Google's search: its published facts, its faults repaired, and its results always written."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner import CostTable, NoFeasiblePartition, Problem, Round, SearchOptions
from partitioner.strategies.bisection import LongestPrefixes, Sizes, bisect
from tests.partitioner.synthetic import convolutional, equal_cuts

INCEPTION_V3 = 132
"""Operators of the model that the original is tested with; every one takes 1000 there."""


def candidates(num_segments: int, step: int = 1) -> LongestPrefixes:
    def latency(sizes: Sizes, segment: int) -> int:
        assert sum(sizes) == INCEPTION_V3
        assert min(sizes) > 0
        return 1000 * sizes[segment]

    return LongestPrefixes(INCEPTION_V3, num_segments, step, max(1, step), latency)


@pytest.mark.parametrize(
    ("num_segments", "target", "latency", "sizes"),
    [(2, 50_000, 82_000, (50, 82)), (4, 30_000, 42_000, (30, 30, 30, 42))],
)
def test_published_results(
    num_segments: int, target: int, latency: int, sizes: tuple[int, ...]
) -> None:
    assert candidates(num_segments).find(target) == (latency, sizes)


def test_published_failure() -> None:
    assert candidates(3).find(500) is None


@pytest.mark.parametrize("num_segments", [5, 6, 8, 12])
@pytest.mark.parametrize("step", [1, 3])
def test_five_segments_and_more(num_segments: int, step: int) -> None:
    """Where the original ends with a failed check."""
    target = 1000 * (INCEPTION_V3 // num_segments + step)
    found = candidates(num_segments, step).find(target)
    assert found is not None
    latency, sizes = found
    assert sum(sizes) == INCEPTION_V3
    assert max(sizes[:-1]) * 1000 <= target
    assert latency == 1000 * sizes[-1]


@pytest.mark.parametrize(("num_segments", "step"), [(2, 1), (3, 1), (4, 1), (4, 8), (6, 1), (8, 4)])
def test_counts_what_the_tool_would_compile(num_segments: int, step: int) -> None:
    """One run for the split to begin with, all segments of every candidate, all of the result."""
    model = convolutional(60, 3)
    oracle = CostTable(model.cost)
    start = model.problem(num_segments).start_cuts
    problem = Problem(60, num_segments, start, step=step)
    result = bisect(problem, oracle, SearchOptions(diff_threshold_ns=100_000))
    rounds = len(result.rounds) - 1
    assert result.compiler_runs == 1 + rounds * num_segments + num_segments
    assert result.compilations == len(oracle.asked) <= result.compiler_runs
    seen: set[tuple[int, int]] = set()
    for entry in result.rounds[1:]:
        fresh = set(pairwise((0, *entry.cuts, 60))) - seen
        assert fresh  # a candidate is measured for a segment not known yet
        seen |= fresh


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 1000), min_size=2, max_size=12), st.integers(1, 5), st.integers(0, 500)
)
def test_always_ends_and_never_worse_than_the_split_to_begin_with(
    work: list[int], num_segments: int, threshold: int
) -> None:
    n = len(work)
    k = min(num_segments, n)
    oracle = CostTable(lambda first, end: sum(work[first:end]))
    rounds: list[Round] = []
    options = SearchOptions(diff_threshold_ns=threshold)
    result = bisect(Problem(n, k, equal_cuts(n, k)), oracle, options, rounds.append)
    assert tuple(rounds) == result.rounds
    assert rounds[0].cuts == equal_cuts(n, k)
    assert rounds[0].bottleneck_ns is not None
    assert result.bottleneck_ns <= rounds[0].bottleneck_ns
    if k == 2:  # additive costs and two segments: the interval holds the optimum
        best = min(max(sum(work[:c]), sum(work[c:])) for c in range(1, n))
        assert result.bottleneck_ns <= best + max(threshold, 1)


def test_balanced_from_the_start_is_a_result() -> None:
    """Where the original writes nothing."""
    oracle = CostTable(lambda first, end: 10 * (end - first))
    result = bisect(Problem(4, 2, (2,)), oracle, SearchOptions(diff_threshold_ns=5))
    assert (result.cuts, result.outcome, len(result.rounds)) == ((2,), "interval", 1)


def test_equal_bounds_are_a_result() -> None:
    """Where the original fails a check."""
    result = bisect(Problem(4, 2, (2,)), CostTable(lambda first, end: 10 * (end - first)))
    assert (result.cuts, result.gap_ns) == ((2,), 0)


def test_nothing_better_is_a_result() -> None:
    """The split to begin with is the best there is; the original ends without any."""
    result = bisect(Problem(3, 2, (1,)), CostTable({(0, 1): 5, (1, 3): 9, (0, 2): 12, (2, 3): 8}))
    assert (result.cuts, result.bottleneck_ns) == ((1,), 9)


def test_bounds_of_the_users() -> None:
    oracle = CostTable(lambda first, end: 1000 * (end - first))
    options = SearchOptions(target_ns=20_000, ceiling_ns=60_000, diff_threshold_ns=1000)
    result = bisect(Problem(80, 2, (10,)), oracle, options)
    assert result.cuts == (40,)
    assert all(entry.cuts != (10,) for entry in result.rounds)


def test_candidates_that_do_not_compile_are_passed_over() -> None:
    oracle = CostTable(lambda first, end: None if end == 5 else 1000 * (end - first))
    assert bisect(Problem(10, 2, (2,)), oracle).bottleneck_ns == 6000


def test_a_start_that_does_not_compile() -> None:
    with pytest.raises(NoFeasiblePartition, match="the strategy optimal"):
        bisect(Problem(4, 2, (2,)), CostTable({(0, 1): 5, (1, 4): 5}))


def test_budget() -> None:
    model = convolutional(60, 4)
    problem = Problem(60, 4, model.problem(4).start_cuts)
    result = bisect(problem, CostTable(model.cost), SearchOptions(max_measurements=40))
    assert result.outcome == "budget"
    assert 40 <= result.measurements < 40 + 4
