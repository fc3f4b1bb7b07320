"""The interval of the median against its definition, and when measuring stops."""

from __future__ import annotations

from itertools import count, cycle, product

import numpy as np
import pytest

from partitioner.measuring.repeats import RepeatRule, estimate, measure_repeatedly, rank_of_bound


@pytest.mark.parametrize("n", range(1, 15))
def test_rank_by_counting_every_outcome(n: int) -> None:
    """Each of n runs is below or above the true median with equal probability."""
    outcomes = [sum(below) for below in product((0, 1), repeat=n)]
    best = 0
    for rank in range(1, n // 2 + 1):
        enclosed = sum(rank <= below <= n - rank for below in outcomes) / len(outcomes)
        if enclosed >= 0.95:
            best = rank
    assert rank_of_bound(n) == best


def test_six_runs_are_the_fewest_for_a_statement() -> None:
    assert [rank_of_bound(n) for n in (5, 6, 8, 9, 12)] == [0, 1, 1, 2, 3]


def test_interval_encloses_the_median_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    runs = random.lognormal(0.0, 1.0, (4000, 20)) * 1e6
    hits = 0
    for row in runs:
        found = estimate(tuple(int(x) for x in row))
        hits += found.low_ns <= 1e6 <= found.high_ns
    assert 0.94 < hits / len(runs) < 0.98


def test_one_run_is_enough_where_it_takes_what_was_expected() -> None:
    runs = count()

    def run() -> int:
        next(runs)
        return 700

    assert measure_repeatedly(run, RepeatRule(), expected=700).samples == (700,)
    assert next(runs) == 1


def test_stops_when_precise() -> None:
    values = cycle([100, 101, 99])
    rule = RepeatRule(precision=0.02, most=30)
    assert len(measure_repeatedly(lambda: next(values), rule).samples) == 6
    values = cycle([100, 200, 150])
    assert len(measure_repeatedly(lambda: next(values), rule).samples) == 30


def test_wrong_rules() -> None:
    with pytest.raises(ValueError, match="repeats is 0"):
        RepeatRule(most=0)
    with pytest.raises(ValueError, match="precision is 0"):
        RepeatRule(precision=0.0)
