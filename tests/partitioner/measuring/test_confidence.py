"""How sure a decision is: worked examples, and noise against the frequency of being right."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from partitioner.measuring.confidence import confidence_in
from partitioner.measuring.repeats import Estimate, estimate
from partitioner.problem import Ideals, Line
from tests.partitioner.tables import solve


def sure(latency: int) -> Estimate:
    return estimate((latency,))


def line(operators: int) -> Line:
    return Line(tuple(range(operators + 1)))


def test_without_noise_it_is_certain() -> None:
    measured = {(0, 1): sure(5), (1, 3): sure(9), (0, 2): sure(10), (2, 3): sure(4)}
    found = confidence_in([(0, 1), (1, 3)], measured, line(3))
    assert (found.probability, found.expected_loss, found.widest) == (1.0, 0.0, 0.0)
    assert (found.runner_up_ns, found.overlap, found.runs) == (10, False, 2)


def test_no_other_cut_measured() -> None:
    found = confidence_in([(0, 1), (1, 2)], {(0, 1): sure(5), (1, 2): sure(9)}, line(2))
    assert (found.runner_up_ns, found.overlap) == (None, False)


def test_a_cut_in_another_order_counts() -> None:
    """Operator 0, then 1 and 2 in either order."""
    ideals = Ideals((0b000, 0b001, 0b011, 0b101, 0b111), 3, complete=True)
    measured = {(0, 2): sure(10), (2, 3): sure(4), (0, 1, 2, 3): sure(12), (1, 2): sure(3)}
    assert confidence_in([(0, 2), (2, 3)], measured, ideals).runner_up_ns == 12


def test_two_cuts_that_cannot_be_told_apart() -> None:
    random = np.random.default_rng(1)

    def noisy(latency: float) -> Estimate:
        return estimate(tuple(int(x) for x in latency * random.normal(1.0, 0.05, 20)))

    measured = {(0, 1): noisy(1e6), (1, 3): noisy(2e6), (0, 2): noisy(2e6), (2, 3): noisy(1e6)}
    bottlenecks = {
        cuts: max(measured[segment].median_ns for segment in cuts)
        for cuts in (((0, 1), (1, 3)), ((0, 2), (2, 3)))
    }
    best = min(bottlenecks, key=lambda cuts: bottlenecks[cuts])
    found = confidence_in(best, measured, line(3))
    assert found.overlap
    assert 0.4 < found.probability < 0.999
    assert 0.0 < found.expected_loss < 0.02
    assert found.runner_up_ns == max(bottlenecks.values())
    assert found == confidence_in(best, measured, line(3)), "seeded"


@pytest.mark.parametrize(("sigma", "certain"), [(0.002, True), (0.2, False)])
def test_confidence_goes_with_being_right(sigma: float, certain: bool) -> None:
    random = np.random.default_rng(7)
    true = np.full((6, 6), np.inf)
    for i, j in combinations(range(6), 2):
        true[i, j] = 1e5 + 1e6 * (j - i) * random.uniform(0.8, 1.2)
    truth = solve(true, 3)
    assert truth is not None
    stated, right = [], []
    for _ in range(15):
        measured = {
            (i, j): estimate(tuple(int(x) for x in true[i, j] * random.normal(1.0, sigma, 9)))
            for i, j in combinations(range(6), 2)
        }
        seen = np.full((6, 6), np.inf)
        for segment, one in measured.items():
            seen[segment] = one.median_ns
        chosen = solve(seen, 3)
        assert chosen is not None
        edges = (0, *chosen.cuts, 5)
        found = confidence_in(list(pairwise(edges)), measured, line(5))
        stated.append(found.probability)
        right.append(chosen.cuts == truth.cuts)
    if certain:
        assert all(right)
        assert min(stated) > 0.95
    else:
        assert np.mean(stated) < 0.9
