"""Searches that measure many segments, against the exact solution of what all of them take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from partitioner.beliefs import Knowledge
from partitioner.bounding import MOST_TOLD, Known
from partitioner.problem import Round
from partitioner.solving import least_bottleneck
from partitioner.strategies import CostTable, Kind, search_assigned, search_optimal
from tests.partitioner.synthetic import even
from tests.partitioner.tables import offers_of, solve

N, K = 130, 6


@pytest.mark.parametrize("seed", range(3))
def test_segments_that_scatter_are_measured_many_at_a_time(seed: int) -> None:
    """No feature tells what each takes, so hundreds are measured, but not in as many rounds."""
    model = replace(even(N, seed), noise=0.05)
    costs = model.costs()
    truth = solve(costs, K)
    assert truth is not None
    oracle = CostTable(lambda a, b: int(costs[a, b]))
    rounds: list[Round] = []
    found = search_optimal(model.problem(K), oracle, on_round=rounds.append)
    assert found.bottleneck_ns == truth.bottleneck == found.lower_bound_ns
    assert len(oracle.asked) > MOST_TOLD
    assert len(rounds) < len(oracle.asked) / 3
    assert all(entry.lower_bound_ns <= truth.bottleneck for entry in rounds)


def test_on_two_kinds_of_devices() -> None:
    """The same where each kind scatters by itself."""
    models = [replace(even(50, seed), noise=0.05) for seed in (3, 4)]
    models[1] = replace(models[0], seed=4, fixed_ns=400_000.0)
    tables = [model.costs() for model in models]
    kinds = [
        Kind(str(q), 2, CostTable(lambda a, b, costs=costs: int(costs[a, b])))
        for q, costs in enumerate(tables)
    ]
    found = search_assigned(models[0].problem(4), kinds)
    offers = offers_of(tables, [2, 2])
    assert found.bottleneck_ns == least_bottleneck(offers, 4)


def test_who_checks_bounds_what_who_searches_does() -> None:
    """Also where more was measured than bounds are worked out from."""
    model = replace(even(60, 1), noise=0.05)
    features = model.features()
    known = Knowledge(features.places, features)
    every = features.places.segments()
    chosen = np.random.default_rng(5).choice(len(every), 2 * MOST_TOLD, replace=False)
    measured = {}
    for at in chosen:
        segment = int(every.first[at]), int(every.end[at])
        measured[segment] = model.cost(*segment)
        known.observe(segment, measured[segment])
    known.beliefs(every)
    known.tell()
    beliefs = known.beliefs(every)
    checked = Known.of(features.places, features, known.basis, measured)
    lower, upper = checked.bounds(every)
    assert np.allclose(beliefs.lower, lower)
    assert np.allclose(beliefs.upper, upper)
    assert (np.isclose(beliefs.lower, beliefs.upper)).sum() >= len(measured)
