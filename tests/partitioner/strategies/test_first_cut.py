"""Searches that begin where published constants suggest: right ones save measurements, wrong ones
change nothing that is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner import CostTable, Line, Partition, Problem, SearchOptions, search_optimal
from partitioner.certificate import claims_of
from partitioner.problem import Segments
from partitioner.strategies import search_assigned
from partitioner.strategies.attention import between_some
from tests.partitioner.strategies.test_unequal_devices import kind_costs, kinds_of
from tests.partitioner.synthetic import Model, convolutional, every_assignment, every_cut

_ANYTHING = st.floats(0.0, 1e6)
"""Right, wrong by any factor, or nothing at all."""


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rates=st.fixed_dictionaries(
        dict.fromkeys(("request", "work", "spilled", "unknown"), _ANYTHING)
    ),
)
def test_whatever_rates_say_the_optimum_is_found_and_proven(
    seed: int, rates: dict[str, float]
) -> None:
    random = np.random.default_rng(seed)
    n, k = int(random.integers(5, 10)), int(random.integers(2, 5))
    (costs,), features = kind_costs(random, n, 1, 0.1 * (seed % 2))
    truth = every_assignment([costs], [k], k)
    if truth is None:
        return
    problem = Problem(n, k, tuple(n * i // k for i in range(1, k)), features=features)
    (kind,) = kinds_of([costs], [k])
    found = search_optimal(problem, kind.oracle, SearchOptions(rates=rates))
    assert (found.bottleneck_ns, found.gap_ns) == truth
    assert found.lower_bound_ns == truth[0]
    assert all(entry.lower_bound_ns <= truth[0] for entry in found.rounds)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rates=st.lists(
        st.fixed_dictionaries(dict.fromkeys(("request", "work", "spilled"), _ANYTHING)),
        min_size=2,
        max_size=2,
    ),
)
def test_nor_do_they_change_what_unequal_devices_are_proven_to_do(
    seed: int, rates: list[dict[str, float]]
) -> None:
    random = np.random.default_rng(seed)
    n, k = int(random.integers(5, 9)), int(random.integers(2, 4))
    counts = [int(random.integers(1, k + 1)), k]
    costs, features = kind_costs(random, n, 2, 0.0)
    problem = Problem(n, k, tuple(n * i // k for i in range(1, k)), features=features)
    kinds = [
        replace(kind, rates=told) for kind, told in zip(kinds_of(costs, counts), rates, strict=True)
    ]
    found = search_assigned(problem, kinds)
    assert (found.bottleneck_ns, found.gap_ns) == every_assignment(costs, counts, k)
    assert found.lower_bound_ns == found.bottleneck_ns


def searched(model: Model, k: int, rates: dict[str, float]) -> Partition:
    return search_optimal(model.problem(k), CostTable(model.cost), SearchOptions(rates=rates))


def test_right_rates_save_measurements_and_the_answers_are_the_same() -> None:
    with_rates = without = 0
    for seed in range(12):
        model = convolutional(16, seed)
        for k in (2, 3, 4):
            found, plain = searched(model, k, model.rates()), searched(model, k, {})
            assert (found.bottleneck_ns, found.gap_ns) == every_cut(model.cost, 16, k)
            assert found.bottleneck_ns == plain.bottleneck_ns
            with_rates += found.measurements
            without += plain.measurements
    assert with_rates < 0.95 * without


@pytest.mark.parametrize("factor", [1.0, 3.0, 0.1])
def test_bounds_follow_from_the_measurements_alone(factor: float) -> None:
    """The checker knows no rates but those that the measurements say, and comes to the same."""
    model = convolutional(16, 3)
    rates = {name: factor * rate for name, rate in model.rates().items()}
    found = searched(model, 3, rates)
    claims = claims_of(found.evidence(), model.problem(3))
    assert claims.lower_bound_ns == found.lower_bound_ns > 0
    assert (claims.bottleneck_ns, claims.gap_ns) == (found.bottleneck_ns, found.gap_ns)


def test_the_first_cut_is_the_fastest_by_the_rates() -> None:
    """A device on which only the bytes that cross count: the cut is where they are fewest, however
    the parameters would be split.  A factor for the whole device does not matter."""
    model = convolutional(12, 5)
    for factor in (1.0, 3.0):
        rates = {"bytes in": factor, "bytes out": factor}
        first = searched(model, 2, rates).rounds[0]
        moved = model.tensor_bytes
        worst = [max(moved[0] + moved[p], moved[p] + moved[12]) for p in range(1, 12)]
        assert first.cuts == (1 + int(np.argmin(worst)),)
    assert searched(model, 2, {}).rounds[0].cuts == model.problem(2).start_cuts


def test_of_long_models_only_some_segments_are_looked_at() -> None:
    line = Line(tuple(range(301)))
    few = between_some(line, 1_000, (7,))
    assert {0, 7, 300} <= set(few.first) | set(few.end)
    assert 800 < len(few) < 1_200
    every: Segments = between_some(line, 50_000, ())
    assert len(every) == 300 * 301 // 2
