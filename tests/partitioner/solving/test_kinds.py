"""Unequal devices: cuts and kinds against trying every cut with every assignment."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from partitioner.solving import best_cuts
from tests.partitioner.synthetic import every_assignment
from tests.partitioner.tables import offers_of


def random_costs(
    random: np.random.Generator, n: int, kinds: int, *, regular: bool, missing: float
) -> list[np.ndarray]:
    """Costs of all segments on each kind: of a chain with transfers, or without any order."""
    tables = []
    work, tensors = random.integers(1, 100, n), random.integers(0, 40, n + 1)
    for _ in range(kinds):
        speed, link = random.uniform(0.5, 2.0), random.uniform(0.2, 3.0)
        table = np.full((n + 1, n + 1), np.inf)
        for i, j in combinations(range(n + 1), 2):
            if regular:
                table[i, j] = int(10 + work[i:j].sum() * speed + link * (tensors[i] + tensors[j]))
            else:
                table[i, j] = int(random.integers(1, 30))
            if random.random() < missing:
                table[i, j] = np.inf
        tables.append(table)
    return tables


CASES = [
    (seed, regular, missing)
    for seed in range(40)
    for regular, missing in ((True, 0.0), (False, 0.0), (False, 0.3))
]


@pytest.mark.parametrize(("seed", "regular", "missing"), CASES)
def test_against_every_assignment(seed: int, regular: bool, missing: float) -> None:
    random = np.random.default_rng(seed)
    n, k = int(random.integers(3, 9)), int(random.integers(1, 4))
    kinds = int(random.integers(1, 4))
    counts = [int(random.integers(0, 4)) for _ in range(kinds)]
    costs = random_costs(random, n, kinds, regular=regular, missing=missing)
    truth = every_assignment(costs, counts, k)
    found = best_cuts(offers_of(costs, counts), k)
    if truth is None:
        assert found is None
        return
    assert found is not None
    assert (found.bottleneck, found.gap) == truth
    ranges = list(pairwise((0, *found.cuts, n)))
    values = [costs[q][r] for q, r in zip(found.kinds, ranges, strict=True)]
    assert (max(values), min(values)) == (found.bottleneck, found.fastest)
    assert all(found.kinds.count(q) <= count for q, count in enumerate(counts))


@pytest.mark.parametrize("seed", range(20))
def test_equal_kinds_are_one_kind(seed: int) -> None:
    """Also with cut restrictions and bytes across cuts as the last tie breaker."""
    random = np.random.default_rng(seed)
    n, k = 9, 3
    (table,) = random_costs(random, n, 1, regular=False, missing=0.1)
    allowed = random.random((k - 1, n + 1)) < 0.7
    tolls = random.integers(0, 5, n + 1).astype(float)
    one = best_cuts(offers_of([table], [k]), k, allowed=allowed, tolls=tolls)
    two = best_cuts(offers_of([table, table], [1, 2]), k, allowed=allowed, tolls=tolls)
    assert (one is None) == (two is None)
    if one is not None and two is not None:
        assert (one.bottleneck, one.fastest) == (two.bottleneck, two.fastest)
        assert sum(tolls[list(one.cuts)]) == sum(tolls[list(two.cuts)])
        assert all(allowed[i, cut] for i, cut in enumerate(two.cuts))
