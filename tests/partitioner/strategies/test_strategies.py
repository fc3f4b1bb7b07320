"""Strategies side by side: what each may claim, and when each has to stop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner import (
    STRATEGIES,
    CostTable,
    NoFeasiblePartition,
    Partition,
    Problem,
    SearchOptions,
    claims_of,
)
from partitioner.problem.ranges import stepped_cut_choices
from partitioner.strategies.strategy import ignore_round
from tests.partitioner.synthetic import convolutional, equal_cuts, every_cut
from tests.partitioner.tables import solve


def run(name: str, problem: Problem, oracle: CostTable, **options: object) -> Partition:
    chosen = SearchOptions(**options)  # type: ignore[arg-type]
    return STRATEGIES[name](problem, oracle, chosen, ignore_round)


class Ticks:
    """A clock that goes on by one second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_strategies_share_one_report(name: str) -> None:
    model = convolutional(30, 7)
    problem = model.problem(3)
    result = STRATEGIES[name](
        problem, CostTable(model.cost), SearchOptions(baseline=True), lambda _: None
    )
    assert result.strategy == name
    assert len(result.segments) == 3
    if name == "parameter-count":
        assert result.cuts == problem.start_cuts
        assert (result.outcome, result.optimality_gap) == ("heuristic", None)


def test_heuristic_that_does_not_compile_says_so() -> None:
    with pytest.raises(NoFeasiblePartition, match="segment 1 of the split"):
        STRATEGIES["parameter-count"](
            Problem(4, 2, (2,)), CostTable({(0, 2): 5}), SearchOptions(), lambda _: None
        )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_exhaustive_is_trying_every_cut(data: st.DataObject) -> None:
    """Whatever the latencies: no assumption is made."""
    n = data.draw(st.integers(1, 8))
    k = data.draw(st.integers(1, min(n, 4)))
    ranges = [(a, b) for a in range(n) for b in range(a + 1, n + 1)]
    table = {r: data.draw(st.integers(0, 9)) for r in ranges if data.draw(st.booleans())}
    step = data.draw(st.integers(1, 2))
    choices = None if step == 1 else stepped_cut_choices(equal_cuts(n, k), n, step)
    truth = every_cut(lambda a, b: table.get((a, b)), n, k, choices)
    problem = Problem(n, k, equal_cuts(n, k), choices)
    oracle = CostTable(table, parallelism=data.draw(st.integers(1, 3)))
    if truth is None:
        with pytest.raises(NoFeasiblePartition):
            run("exhaustive", problem, oracle)
        return
    result = run("exhaustive", problem, oracle)
    assert (result.bottleneck_ns, result.gap_ns) == truth
    assert result.lower_bound_ns == truth[0]
    claims = claims_of(result.evidence(), problem)
    assert (claims.lower_bound_ns, claims.least_gap_ns) == truth
    assert len(result.evidence()["certificate"]["assumptions"]) == 1


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_time_ends_every_search_with_a_result(name: str) -> None:
    """One second a look, three seconds in all."""
    model = convolutional(40, 3)
    result = run(name, model.problem(4), CostTable(model.cost), timeout_s=3.0, clock=Ticks())
    searching = name not in ("manual", "parameter-count")
    assert (result.outcome == "timeout") == searching
    first = result.rounds[0].bottleneck_ns
    assert first is not None
    assert result.bottleneck_ns <= first
    truth = solve(model.costs(), 4)
    assert truth is not None
    assert result.lower_bound_ns <= truth.bottleneck


@pytest.mark.parametrize("seed", range(6))
def test_the_gap_is_honest_whenever_the_budget_ends_the_search(seed: int) -> None:
    """No cut is below the bound, however early the end and whatever the operators cost."""
    n, k = 30, 4
    model = convolutional(n, seed)
    random = np.random.default_rng(seed)
    work = np.concatenate([[0.0], np.cumsum(random.lognormal(10, 1.5, n))])
    costs = model.costs()
    if seed % 2:  # operators that are not what their features say
        costs = np.where(np.isfinite(costs), 1e5 + work[None, :] - work[:, None], np.inf)
    truth = solve(costs, k)
    assert truth is not None
    for budget in (1, 5, 7, 9, 12, 16, 25):
        oracle = CostTable(lambda a, b: int(costs[a, b]))
        result = run("optimal", model.problem(k), oracle, max_measurements=budget)
        assert result.lower_bound_ns <= truth.bottleneck <= result.bottleneck_ns + 1
        claims = claims_of(result.evidence(), model.problem(k))
        assert claims.lower_bound_ns <= truth.bottleneck


def test_manual_cuts_are_measured_as_they_are() -> None:
    model = convolutional(20, 1)
    problem = Problem(20, 3, (3, 17))
    result = run("manual", problem, CostTable(model.cost), diff_threshold_ns=10**12)
    assert (result.cuts, result.outcome, result.compilations) == ((3, 17), "given", 3)
    assert result.latencies_ns == (model.cost(0, 3), model.cost(3, 17), model.cost(17, 20))


def test_fewest_bytes_among_the_fastest_and_most_even() -> None:
    """Many cuts are equally good; the bytes across are settled too, and by measuring."""
    random = np.random.default_rng(4)
    settled = 0
    for _ in range(20):
        tolls = (0, *(int(t) for t in random.integers(1, 50, 11)), 0)
        work = np.concatenate([[0], np.cumsum(random.choice([0, 0, 5], 12))])
        problem = Problem(12, 3, (4, 8), cut_bytes=tolls, boundaries_alike=True)

        def cost(first: int, end: int, work: np.ndarray = work) -> int:
            return int(1 + work[end] - work[first])

        every = run("exhaustive", problem, CostTable(cost))
        found = run("optimal", problem, CostTable(cost))
        assert (found.bottleneck_ns, found.gap_ns) == (every.bottleneck_ns, every.gap_ns)
        assert found.bytes_across_cuts == every.bytes_across_cuts
        settled += every.bytes_across_cuts < tolls[4] + tolls[8]
    assert settled > 5
