"""The search against trying every cut, and what it promises on the way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner import (
    CostTable,
    NoFeasiblePartition,
    Partition,
    Problem,
    Range,
    Round,
    SearchOptions,
    search_optimal,
)
from partitioner.problem.ranges import stepped_cut_choices
from tests.partitioner.synthetic import Cost, convolutional, equal_cuts, every_cut
from tests.partitioner.tables import solve


@st.composite
def oracles(draw: st.DrawFn, infeasible: bool = True) -> tuple[Cost, int, int]:
    """Costs that meet the assumption: a constant, additive work, spilling, what fails to compile.

    Many operators cost nothing and many cost the same, so ties abound.
    """
    n = draw(st.integers(1, 11))
    k = draw(st.integers(1, min(n, 5)))
    work = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    size = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    overhead, capacity = draw(st.integers(1, 6)), draw(st.integers(0, 20))
    rate = draw(st.integers(0, 4))
    ranges = [(a, b) for a in range(n) for b in range(a + 1, n + 1)]
    broken: set[Range] = set()
    if infeasible:
        broken = set(draw(st.lists(st.sampled_from(ranges), max_size=len(ranges) // 2)))

    def cost(first: int, end: int) -> int | None:
        if (first, end) in broken:
            return None
        spilled = max(0, sum(size[first:end]) - capacity)
        return overhead + sum(work[first:end]) + rate * spilled

    return cost, n, k


def check_report(
    result: Partition, oracle: CostTable, cost: Cost, n: int, threshold: float = float("inf")
) -> None:
    """What holds for every answer; a balanced one is measured against balanced ones only."""
    ranges = list(pairwise((0, *result.cuts, n)))
    assert [p.runs for p in result.segments] == ranges
    assert list(result.latencies_ns) == [cost(a, b) for a, b in ranges]
    assert result.lower_bound_ns <= result.bottleneck_ns
    assert result.measurements == oracle.measurements
    for entry in result.rounds:
        if entry.bottleneck_ns is None or entry.gap_ns is None:
            continue
        if result.outcome != "balanced" or entry.gap_ns < threshold:  # never worse than measured
            assert (result.bottleneck_ns, result.gap_ns) <= (entry.bottleneck_ns, entry.gap_ns)


@settings(max_examples=400, deadline=None)
@given(oracles(), st.integers(1, 3), st.booleans())
def test_finds_the_optimum_of_every_cut(
    case: tuple[Cost, int, int], parallelism: int, baseline: bool
) -> None:
    cost, n, k = case
    truth = every_cut(cost, n, k)
    oracle = CostTable(cost, parallelism=parallelism)
    problem = Problem(n, k, equal_cuts(n, k), boundaries_alike=True)
    options = SearchOptions(baseline=baseline)
    if truth is None:
        with pytest.raises(NoFeasiblePartition, match="does not compile"):
            search_optimal(problem, oracle, options)
        return
    result = search_optimal(problem, oracle, options)
    assert result.outcome == "optimal"
    assert (result.bottleneck_ns, result.gap_ns) == truth
    assert result.lower_bound_ns == result.bottleneck_ns
    assert result.optimality_gap == 0.0
    check_report(result, oracle, cost, n)


@settings(max_examples=150, deadline=None)
@given(oracles(infeasible=False), st.integers(0, 12))
def test_stops_at_the_threshold_with_a_valid_bound(
    case: tuple[Cost, int, int], threshold: int
) -> None:
    cost, n, k = case
    truth = every_cut(cost, n, k)
    assert truth is not None
    oracle = CostTable(cost)
    result = search_optimal(
        Problem(n, k, equal_cuts(n, k), boundaries_alike=True),
        oracle,
        SearchOptions(diff_threshold_ns=threshold),
    )
    check_report(result, oracle, cost, n, threshold)
    assert result.lower_bound_ns <= truth[0] <= result.bottleneck_ns
    if result.outcome == "balanced":
        assert result.gap_ns < threshold
    else:
        assert (result.bottleneck_ns, result.gap_ns) == truth
        assert result.gap_ns >= threshold


@settings(max_examples=100, deadline=None)
@given(oracles(), st.integers(2, 3))
def test_keeps_to_the_steps(case: tuple[Cost, int, int], step: int) -> None:
    cost, n, k = case
    start = equal_cuts(n, k)
    choices = stepped_cut_choices(start, n, step)
    truth = every_cut(cost, n, k, choices)
    problem = Problem(n, k, start, choices, boundaries_alike=True)
    if truth is None:
        with pytest.raises(NoFeasiblePartition):
            search_optimal(problem, CostTable(cost))
        return
    result = search_optimal(problem, CostTable(cost))
    assert (result.bottleneck_ns, result.gap_ns) == truth
    assert all((cut - begin) % step == 0 for cut, begin in zip(result.cuts, start, strict=True))


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("seed", range(12))
def test_transfers_that_outweigh_computing(seed: int, k: int) -> None:
    """Long segments can be faster than short ones in them; fitted rates sort that out."""
    model = convolutional(24, seed)
    assert any(model.cost(0, end) > model.cost(0, end + 1) for end in range(1, 24))
    oracle = CostTable(model.cost)
    result = search_optimal(model.problem(k), oracle)
    assert (result.bottleneck_ns, result.gap_ns) == every_cut(model.cost, 24, k)
    check_report(result, oracle, model.cost, 24)


@pytest.mark.parametrize(
    ("n", "k", "at_most"), [(60, 2, 10), (60, 4, 25), (60, 8, 45), (120, 6, 40)]
)
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_few_measurements_suffice(n: int, k: int, at_most: int, noise: float) -> None:
    """Medians over models are 5 to 28 segments of 1,830 and 7,260."""
    needed = []
    for seed in range(3):
        model = convolutional(n, seed, noise)
        costs = model.costs()
        truth = solve(costs, k)
        assert truth is not None
        oracle = CostTable(lambda a, b, costs=costs: int(costs[a, b]))
        result = search_optimal(model.problem(k), oracle)
        assert (result.bottleneck_ns, result.gap_ns) == (truth.bottleneck, truth.gap)
        needed.append(result.measurements)
    assert np.median(needed) <= at_most


def test_wrong_features_cost_measurements_but_not_the_optimum() -> None:
    """Features of another model: the doubts grow until the truth is found."""
    model, other = convolutional(16, 1), convolutional(16, 99)
    problem = Problem(16, 3, equal_cuts(16, 3), features=other.features())
    result = search_optimal(problem, CostTable(model.cost))
    assert (result.bottleneck_ns, result.gap_ns) == every_cut(model.cost, 16, 3)
    assert result.guard.worst_model_error > 0.05


def test_order_of_devices_does_not_change_the_optimum() -> None:
    model = convolutional(30, 5)
    values = set()
    for parallelism in (1, 2, 3, 7):
        oracle = CostTable(model.cost, parallelism=parallelism)
        result = search_optimal(model.problem(4), oracle)
        values.add((result.bottleneck_ns, result.gap_ns))
    assert len(values) == 1


def test_violations_are_reported_and_widen_the_bounds() -> None:
    """The whole is faster than a part of it, which the assumption excludes."""
    table = {(0, 1): 10, (1, 3): 50, (0, 2): 30, (2, 3): 20, (0, 3): 20}
    oracle = CostTable(table)
    result = search_optimal(
        Problem(3, 2, (1,), boundaries_alike=True), oracle, SearchOptions(baseline=True)
    )
    assert result.guard.nested == 2
    assert result.guard.worst_violation == pytest.approx(1.5)
    assert (result.bottleneck_ns, result.gap_ns) == (30, 10)


def test_best_may_combine_segments_of_different_rounds() -> None:
    """The answer is the best of everything measured, not of the cuts tried."""
    model = convolutional(20, 8)
    oracle = CostTable(model.cost)
    result = search_optimal(model.problem(4), oracle, SearchOptions(max_measurements=12))
    measured = {segment: model.cost(*segment) for segment in oracle.asked}
    assert (result.bottleneck_ns, result.gap_ns) == every_cut(
        lambda a, b: measured.get((a, b)), 20, 4
    )


def test_without_features_nothing_is_proven_of_unequal_boundaries() -> None:
    """What transfers cost is then told from nothing, and a proof would rest on it."""
    model = convolutional(12, 1)
    with pytest.raises(ValueError, match="features are needed"):
        search_optimal(model.problem(3, features=False), CostTable(model.cost))


def test_one_segment_and_one_operator_each() -> None:
    model = convolutional(6, 1)
    whole = search_optimal(Problem(6, 1, ()), CostTable(model.cost))
    assert (whole.cuts, whole.outcome, whole.gap_ns) == ((), "optimal", 0)
    single = search_optimal(
        Problem(6, 6, (1, 2, 3, 4, 5), boundaries_alike=True), CostTable(model.cost)
    )
    assert (single.cuts, single.measurements) == ((1, 2, 3, 4, 5), 6)


def test_rounds_are_told_as_they_happen() -> None:
    model = convolutional(40, 2)
    told: list[Round] = []
    result = search_optimal(model.problem(4), CostTable(model.cost), SearchOptions(), told.append)
    assert tuple(told) == result.rounds
    assert [entry.index for entry in told] == list(range(len(told)))
    assert told[0].cuts == model.problem(4).start_cuts
    bests = [entry.best_bottleneck_ns for entry in told]
    assert bests == sorted(bests, reverse=True)
    counts = [entry.measurements for entry in told]
    assert counts == sorted(counts)


def test_fewest_bytes_across_cuts_among_equals() -> None:
    """Three cuts are equally fast and even; the cheapest crossing wins."""
    cost = {(0, 1): 5, (1, 4): 5, (0, 2): 5, (2, 4): 5, (0, 3): 5, (3, 4): 5}
    problem = Problem(4, 2, (1,), cut_bytes=(0, 9, 2, 7, 0), boundaries_alike=True)
    oracle = CostTable(cost)
    oracle.measure(list(cost))
    result = search_optimal(problem, oracle, SearchOptions(baseline=False))
    assert result.bottleneck_ns == 5
    assert result.bytes_across_cuts == problem.cut_bytes[result.cuts[0]]  # type: ignore[index]


class CountingOracle(CostTable):
    """Remembers how many segments were asked for at once."""

    def __init__(self, cost: Cost, parallelism: int) -> None:
        super().__init__(cost, parallelism=parallelism)
        self.batches: list[int] = []

    def measure(self, segments: Sequence[Range]) -> Sequence[int | None]:
        self.batches.append(len(segments))
        return super().measure(segments)


def test_as_many_at_once_as_there_are_devices() -> None:
    model = convolutional(40, 2)
    oracle = CountingOracle(model.cost, parallelism=2)
    search_optimal(model.problem(4), oracle)
    assert max(oracle.batches[:-1]) == 2  # the last call only reads out the answer
