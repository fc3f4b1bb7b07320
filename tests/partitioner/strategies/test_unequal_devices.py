"""The search over unequal devices against trying every cut with every assignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from partitioner import (
    CostTable,
    Features,
    Line,
    NoFeasiblePartition,
    Problem,
    SearchOptions,
)
from partitioner.solving import best_cuts
from partitioner.strategies import Kind, search_assigned
from tests.partitioner.synthetic import convolutional, every_assignment
from tests.partitioner.tables import features_of, offers_of


def kinds_of(costs: Sequence[np.ndarray], counts: Sequence[int]) -> list[Kind]:
    def oracle(table: np.ndarray) -> CostTable:
        return CostTable(
            lambda i, j: int(table[i, j]) if np.isfinite(table[i, j]) else None, parallelism=2
        )

    return [
        Kind(f"kind {q}", count, oracle(table))
        for q, (table, count) in enumerate(zip(costs, counts, strict=True))
    ]


def kind_costs(
    random: np.random.Generator, n: int, kinds: int, missing: float
) -> tuple[list[np.ndarray], Features]:
    """Costs that meet the search's assumption: a constant, work and spilling, by kind."""
    work, size = random.integers(0, 20, n), random.integers(0, 6, n)
    done, spilled = np.zeros((n + 1, n + 1)), np.zeros((n + 1, n + 1))
    for i, j in combinations(range(n + 1), 2):
        done[i, j], spilled[i, j] = work[i:j].sum(), max(0, size[i:j].sum() - 8)
    tables = []
    for _ in range(kinds):
        overhead, speed, rate = random.integers(1, 30), random.integers(1, 4), random.integers(0, 9)
        table = overhead + speed * done + rate * spilled
        table[random.random((n + 1, n + 1)) < missing] = np.inf
        tables.append(np.where(np.triu(np.ones_like(table), 1) > 0, table, np.inf))
    features = features_of(
        Line(tuple(range(n + 1))),
        boundary={"request": np.ones((n + 1, n + 1))},
        inside={"work": done, "spilled": spilled},
        per_operator={"work": work.astype(float)},
    )
    return tables, features


@pytest.mark.parametrize("seed", range(100))
def test_search_finds_the_optimum(seed: int) -> None:
    random = np.random.default_rng(1000 + seed)
    n, k = int(random.integers(5, 10)), int(random.integers(2, 4))
    counts = [int(random.integers(1, k + 1)), int(random.integers(1, k + 1))]
    if sum(counts) < k:
        counts[0] = k
    costs, features = kind_costs(random, n, 2, 0.0 if seed % 3 else 0.15)
    truth = every_assignment(costs, counts, k)
    start = tuple(n * i // k for i in range(1, k))
    subject = kinds_of(costs, counts)
    if truth is None:
        with pytest.raises(NoFeasiblePartition):
            search_assigned(Problem(n, k, start, features=features), subject)
        return
    partition = search_assigned(
        Problem(n, k, start, features=features), subject, SearchOptions(baseline=True)
    )
    assert (partition.bottleneck_ns, partition.gap_ns) == truth
    assert partition.lower_bound_ns == partition.bottleneck_ns
    assert partition.outcome == "optimal"
    kinds = [int(name.removeprefix("kind ")) for name in partition.kinds]
    for profile, kind in zip(partition.segments, kinds, strict=True):
        assert profile.latency_ns == costs[kind][profile.runs]
    assert all(kinds.count(q) <= count for q, count in enumerate(counts))
    assert all(
        a.best_bottleneck_ns is None or a.best_bottleneck_ns >= truth[0] for a in partition.rounds
    )


@pytest.mark.parametrize("seed", range(6))
def test_few_measurements_on_two_links(seed: int) -> None:
    """Sixty operators; the links differ in what a request and a byte cost."""
    slow = convolutional(60, seed)
    fast = replace(slow, fixed_ns=120_000.0, ns_per_byte=1e9 / 900e6)
    costs = [slow.costs(), fast.costs()]
    for counts in ([3, 1], [2, 2], [1, 3]):
        truth = best_cuts(offers_of(costs, counts), 4)
        assert truth is not None
        problem = slow.problem(4)
        found = search_assigned(problem, kinds_of(costs, counts))
        assert found.bottleneck_ns == truth.bottleneck
        assert found.measurements < 120  # of 3,660


def test_slow_link_gets_the_small_tensors() -> None:
    """By hand: the input is large, so the fast link takes the first segment."""
    tensors = [50, 1, 1, 1]

    def cost(per_byte: int) -> CostTable:
        return CostTable(lambda i, j: 10 * (j - i) + per_byte * (tensors[i] + tensors[j]))

    kinds = [Kind("slow", 1, cost(4)), Kind("fast", 1, cost(1))]
    features = Features.counting(Line((0, 1, 2, 3)))
    found = search_assigned(Problem(3, 2, (1,), features=features), kinds)
    assert found.kinds == ("fast", "slow")
    assert found.latencies_ns == (61, 28)


def test_stops_early() -> None:
    random = np.random.default_rng(3)
    costs, features = kind_costs(random, 9, 2, 0.0)
    problem = Problem(9, 3, (3, 6), features=features)
    for options, outcome in (
        (SearchOptions(diff_threshold_ns=10**9), "balanced"),
        (SearchOptions(target_ns=10**9), "target"),
        (SearchOptions(max_measurements=6), "budget"),
    ):
        found = search_assigned(problem, kinds_of(costs, [2, 2]), options)
        assert found.outcome == outcome
    unreachable = search_assigned(problem, kinds_of(costs, [2, 2]), SearchOptions(ceiling_ns=1))
    assert unreachable.outcome == "optimal"
    with pytest.raises(ValueError, match="fewer devices than segments"):
        search_assigned(problem, kinds_of(costs, [1, 1]))
    with pytest.raises(ValueError, match="features are needed"):
        search_assigned(Problem(9, 3, (3, 6)), kinds_of(costs, [2, 2]))


def test_what_is_known_of_a_kind_is_not_asked_again() -> None:
    costs, features = kind_costs(np.random.default_rng(3), 9, 2, 0.0)
    problem = Problem(9, 3, (3, 6), features=features)
    kinds = kinds_of(costs, [2, 2])
    first = search_assigned(problem, kinds)
    measured = list(zip(first.measured, first.measured_on, strict=True))
    again = [
        replace(kind, known={runs: ns for (runs, ns), name in measured if name == kind.name})
        for kind in kinds_of(costs, [2, 2])
    ]
    second = search_assigned(problem, again, SearchOptions(max_measurements=0))
    assert second.runs == first.runs
    # The starting split on both kinds, and what is answered.
    assert second.measurements <= 2 * 3 + 3 < first.measurements
