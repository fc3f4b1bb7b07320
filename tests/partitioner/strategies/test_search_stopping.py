"""When the search stops: good enough, even enough, nothing under the ceiling, budget spent."""

from __future__ import annotations

import numpy as np
import pytest

from partitioner import (
    CostTable,
    NoFeasiblePartition,
    Problem,
    SearchOptions,
    search_optimal,
)
from tests.partitioner.synthetic import Model, convolutional


def test_good_enough_is_where_it_stops() -> None:
    model = convolutional(40, 2)
    best = search_optimal(model.problem(4), CostTable(model.cost))
    start = best.rounds[0].bottleneck_ns
    assert start is not None
    assert start > best.bottleneck_ns
    target = start - 1
    oracle = CostTable(model.cost)
    result = search_optimal(model.problem(4), oracle, SearchOptions(target_ns=target))
    assert result.outcome == "target"
    assert result.bottleneck_ns <= target
    assert result.measurements <= best.measurements


def test_ceiling_is_respected_until_nothing_is_under_it() -> None:
    model = convolutional(24, 2)
    best = search_optimal(model.problem(3), CostTable(model.cost))
    above, below = best.bottleneck_ns + 1, best.bottleneck_ns - 1
    for ceiling in (above, best.bottleneck_ns, below):
        result = search_optimal(
            model.problem(3), CostTable(model.cost), SearchOptions(ceiling_ns=ceiling)
        )
        assert (result.bottleneck_ns, result.gap_ns) == (best.bottleneck_ns, best.gap_ns)
        assert result.outcome == "optimal"


def test_goes_on_from_an_even_cut_to_a_faster_even_one() -> None:
    """Every cut of a small model is even to within a millisecond; the fastest is wanted."""
    cost = {(0, 1): 100, (1, 4): 130, (0, 2): 180, (2, 4): 170, (0, 3): 300, (3, 4): 90}
    problem = Problem(4, 2, (2,), boundaries_alike=True)
    oracle = CostTable(lambda first, end: cost[first, end])
    result = search_optimal(problem, oracle, SearchOptions(diff_threshold_ns=1_000))
    assert (result.outcome, result.cuts, result.bottleneck_ns) == ("balanced", (1,), 130)
    assert result.lower_bound_ns == 130


def test_keeps_an_even_cut_when_the_faster_ones_are_not() -> None:
    cost = {(0, 1): 100, (1, 4): 130, (0, 2): 180, (2, 4): 170, (0, 3): 300, (3, 4): 90}
    problem = Problem(4, 2, (2,), boundaries_alike=True)
    oracle = CostTable(lambda first, end: cost[first, end])
    result = search_optimal(problem, oracle, SearchOptions(diff_threshold_ns=20))
    assert (result.outcome, result.cuts, result.gap_ns) == ("balanced", (2,), 10)
    assert result.lower_bound_ns <= 130  # of the cut that is not even enough


def test_ceiling_forbids_a_balanced_but_slow_cut() -> None:
    """The starting cut is even because both sides pay for a large tensor."""
    model = Model(
        compute_ns=np.full(4, 1e6),
        parameter_bytes=np.full(4, 1e5),
        tensor_bytes=np.array([1e3, 1e3, 3e6, 1e3, 1e3]),
        seed=0,
    )
    slow, fast = model.cost(0, 2), model.cost(1, 4)
    assert slow > 3 * fast
    problem = model.problem(2)
    assert problem.start_cuts == (2,)
    even = search_optimal(problem, CostTable(model.cost), SearchOptions(diff_threshold_ns=10_000))
    assert (even.outcome, even.bottleneck_ns) == ("balanced", slow)
    options = SearchOptions(diff_threshold_ns=10_000, ceiling_ns=slow - 1)
    swift = search_optimal(problem, CostTable(model.cost), options)
    assert (swift.outcome, swift.bottleneck_ns) == ("optimal", fast)


@pytest.mark.parametrize("budget", [1, 5, 9])
def test_budget_is_kept(budget: int) -> None:
    model = convolutional(60, 4)
    oracle = CostTable(model.cost)
    result = search_optimal(model.problem(4), oracle, SearchOptions(max_measurements=budget))
    assert result.outcome == "budget"
    assert result.measurements <= max(budget, 4)
    assert 0 < result.lower_bound_ns <= result.bottleneck_ns


def test_budget_spent_on_cuts_that_do_not_compile() -> None:
    problem = Problem(8, 2, (4,), boundaries_alike=True)
    with pytest.raises(NoFeasiblePartition, match="allow more of them"):
        search_optimal(problem, CostTable({}), SearchOptions(max_measurements=5))
