"""Cuts through branches: against every order of the operators, cut everywhere."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner import (
    CostTable,
    Features,
    NoFeasiblePartition,
    Problem,
    SearchOptions,
    claims_of,
    search_optimal,
    try_everything,
)
from partitioner.problem import Range, Segments
from partitioner.problem.ranges import in_file_order, operators_of
from partitioner.solving import Offer, best_cuts
from partitioner.strategies import Kind, search_assigned
from tests.partitioner.branched import Before, all_ideals, dags, linear_extensions
from tests.partitioner.tables import features_of

Cost = Callable[[frozenset[int]], int | None]


def every_order_cut_everywhere(before: Before, k: int, cost: Cost) -> tuple[int, int] | None:
    """Lowest bottleneck and, with it, smallest gap; ``None`` if nothing compiles."""
    n, best = len(before), None
    for order in linear_extensions(before):
        for cuts in combinations(range(1, n), k - 1):
            latencies = [cost(frozenset(order[a:b])) for a, b in pairwise((0, *cuts, n))]
            if None not in latencies:
                value = (max(latencies), max(latencies) - min(latencies))
                best = value if best is None else min(best, value)
    return best


def problem_in(before: Before, k: int, features: Features | None = None) -> Problem:
    n = len(before)
    ideals = features.places if features else all_ideals(before)
    return Problem(
        n,
        k,
        tuple(n * i // k for i in range(1, k)),
        features=features,
        ideals=ideals,
        order="all orders",
        boundaries_alike=features is None,
    )


def oracle_for(cost: Cost) -> CostTable:
    return CostTable(lambda *runs: cost(frozenset(operators_of(runs))))


@st.composite
def devices(draw: st.DrawFn, n: int) -> Cost:
    """Latencies that meet the assumption; the constants are nobody's but this test's."""
    numbers = st.lists(st.integers(0, 5), min_size=n, max_size=n)
    work, size = draw(numbers), draw(numbers)
    overhead, capacity = draw(st.integers(1, 6)), draw(st.integers(0, 20))
    rate = draw(st.integers(0, 4))
    broken = draw(st.frozensets(st.frozensets(st.integers(0, n - 1), min_size=1), max_size=8))

    def cost(operators: frozenset[int]) -> int | None:
        if operators in broken:
            return None
        spilled = max(0, sum(size[i] for i in operators) - capacity)
        return overhead + sum(work[i] for i in operators) + rate * spilled

    return cost


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_finds_the_optimum_of_every_order(data: st.DataObject) -> None:
    before = data.draw(dags())
    k = data.draw(st.integers(1, min(len(before), 4)))
    cost = data.draw(devices(len(before)))
    truth = every_order_cut_everywhere(before, k, cost)
    problem = problem_in(before, k)
    if truth is None:
        for strategy in (search_optimal, try_everything):
            with pytest.raises(NoFeasiblePartition):
                strategy(problem, oracle_for(cost), SearchOptions())
        return
    for strategy in (search_optimal, try_everything):
        oracle = oracle_for(cost)
        result = strategy(problem, oracle, SearchOptions())
        assert (result.bottleneck_ns, result.gap_ns) == truth
        assert (result.outcome, result.lower_bound_ns) == ("optimal", truth[0])
        assert result.latencies_ns == tuple(cost(frozenset(operators_of(r))) for r in result.runs)
        order = result.execution_order or tuple(range(len(before)))
        assert order in set(linear_extensions(before))
        claims = claims_of(result.evidence(), problem)
        assert (claims.lower_bound_ns, claims.least_gap_ns) == truth
        assert len(oracle.asked) == result.compilations, "equal operators are asked for once"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_exhaustive_assumes_nothing(data: st.DataObject) -> None:
    before = data.draw(dags(6))
    k = data.draw(st.integers(1, min(len(before), 3)))
    table: dict[frozenset[int], int | None] = {}

    def cost(operators: frozenset[int]) -> int | None:
        if operators not in table:
            table[operators] = data.draw(st.none() | st.integers(0, 9))
        return table[operators]

    truth = every_order_cut_everywhere(before, k, cost)
    if truth is None:
        with pytest.raises(NoFeasiblePartition):
            try_everything(problem_in(before, k), oracle_for(cost))
        return
    result = try_everything(problem_in(before, k), oracle_for(cost))
    assert (result.bottleneck_ns, result.gap_ns) == truth


def featured(before: Before, work: np.ndarray, guess: np.ndarray) -> Features:
    """Multiply-accumulates as a ``guess`` at the ``work``."""
    ideals = all_ideals(before)
    sums = ideals.contents @ guess
    return features_of(
        ideals,
        boundary={"request": np.ones((len(ideals), len(ideals)))},
        inside={"macs": sums[None, :] - sums[:, None]},
        per_operator={"macs": guess},
    )


@pytest.mark.parametrize("seed", range(12))
def test_unequal_devices(seed: int) -> None:
    """Branches in any order and kinds of devices in any order, at the same time."""
    random = np.random.default_rng(seed)
    n, k = 6, 3
    before = tuple(
        frozenset(int(j) for j in random.integers(0, i, 1 + (seed + i) % 2)) if i else frozenset()
        for i in range(n)
    )
    work = random.integers(1, 40, n) * 1000.0
    own = random.uniform(0.5, 2.0, (2, n))
    counts = (1, 2) if seed % 2 else (2, 2)

    def cost(kind: int, operators: frozenset[int]) -> int:
        return int(2000 * (1 + kind) + sum(work[i] * own[kind, i] for i in operators))

    values = []
    for order in linear_extensions(before):
        for cuts in combinations(range(1, n), k - 1):
            parts = [frozenset(order[a:b]) for a, b in pairwise((0, *cuts, n))]
            for number in range(2**k):
                kinds = [number >> i & 1 for i in range(k)]
                if all(kinds.count(q) <= counts[q] for q in (0, 1)):
                    latencies = [cost(q, p) for q, p in zip(kinds, parts, strict=True)]
                    values.append((max(latencies), max(latencies) - min(latencies)))
    guess = work * random.uniform(0.8, 1.2, n) * 1000
    problem = problem_in(before, k, featured(before, work, guess))
    found = search_assigned(
        problem,
        [
            Kind(str(q), counts[q], oracle_for(lambda operators, q=q: cost(q, operators)))
            for q in (0, 1)
        ],
    )
    assert (found.bottleneck_ns, found.gap_ns) == min(values)
    assert claims_of(found.evidence(), problem).lower_bound_ns <= min(values)[0]


def test_branches_make_a_better_cut_than_the_order_of_the_file() -> None:
    """In the file two branches of two operators alternate, so every cut runs through one."""
    before = tuple(map(frozenset, ((), (0,), (0,), (1,), (2,), (3, 4))))

    def cost(operators: frozenset[int]) -> int:
        """Where a branch is torn apart a large tensor crosses."""
        torn = sum(len(operators & pair) == 1 for pair in ({1, 3}, {2, 4}))
        return 10 * len(operators) + 100 * torn

    oracle = oracle_for(cost)
    in_file = try_everything(Problem(6, 2, (3,)), oracle)
    anyhow = try_everything(problem_in(before, 2), oracle)
    assert in_file.bottleneck_ns == 50
    assert anyhow.bottleneck_ns == 30
    assert not in_file_order(anyhow.runs)
    assert anyhow.execution_order in ((0, 1, 3, 2, 4, 5), (0, 2, 4, 1, 3, 5))


Many = tuple[Problem, Segments, list[np.ndarray], list[dict[Range, int]]]


def many_ideals(seed: int, kinds: int) -> Many:
    """Two chains side by side: 196 ideals, 10,829 segments; the file has one behind the other.

    With what they cost on each kind of device, in the order of the segments and by operators.
    """
    random = np.random.default_rng(seed)
    before = tuple(frozenset({i - 1} if i % 13 else ()) for i in range(26))
    work = random.lognormal(10.0, 1.0, 26)
    features = featured(before, work, work * random.uniform(0.8, 1.2, 26))
    problem = problem_in(before, 2 + seed % 3, features)
    segments = problem.places.segments()
    assert len(segments) > 10_000
    members = problem.places.contents[segments.end] & ~problem.places.contents[segments.first]
    size = members @ random.integers(1, 10, 26)
    costs, tables = [], []
    for kind in range(kinds):
        own = work if kind == 0 else work * random.uniform(0.5, 2.0, 26)
        ns = np.floor(20_000 + 9_000 * kind + members @ own + 3_000 * np.maximum(0, size - 40))
        costs.append(ns)
        pairs = zip(segments.first, segments.end, ns, strict=True)
        tables.append({problem.places.operators(int(i), int(j)): int(c) for i, j, c in pairs})
    return problem, segments, costs, tables


@pytest.mark.parametrize("seed", range(4))
def test_many_ideals(seed: int) -> None:
    problem, segments, (costs,), (index,) = many_ideals(seed, 1)
    k = problem.num_segments
    truth = best_cuts([Offer(segments, costs, k)], k)
    assert truth is not None
    ceilings = (None, int(truth.bottleneck))
    for ceiling in ceilings:
        oracle = CostTable(index)
        result = search_optimal(problem, oracle, SearchOptions(ceiling_ns=ceiling))
        assert result.bottleneck_ns == truth.bottleneck == result.lower_bound_ns
        assert truth.gap <= result.gap_ns
        assert claims_of(result.evidence(), problem).least_gap_ns <= truth.gap
        assert len(oracle.asked) < len(index) / 20
        for entry in result.rounds:
            assert entry.lower_bound_ns <= truth.bottleneck


@pytest.mark.parametrize("seed", range(4))
def test_many_ideals_and_two_kinds(seed: int) -> None:
    """What is left out of a long model on the way is not left out of what is proven."""
    problem, segments, costs, tables = many_ideals(seed, 2)
    k = problem.num_segments
    counts = (1, k) if seed % 2 else (k - 1, 2)
    offers = [Offer(segments, ns, count) for ns, count in zip(costs, counts, strict=True)]
    truth = best_cuts(offers, k)
    assert truth is not None
    oracles = [CostTable(table) for table in tables]
    kinds = [
        Kind(str(q), count, oracle)
        for q, (count, oracle) in enumerate(zip(counts, oracles, strict=True))
    ]
    found = search_assigned(problem, kinds)
    assert found.bottleneck_ns == truth.bottleneck == found.lower_bound_ns
    assert truth.gap <= found.gap_ns
    assert all(found.kinds.count(str(q)) <= count for q, count in enumerate(counts))
    assert sum(len(oracle.asked) for oracle in oracles) < 2 * len(tables[0]) / 20
    claims = claims_of(found.evidence(), problem)
    assert claims.lower_bound_ns == truth.bottleneck
    assert claims.least_gap_ns <= truth.gap
