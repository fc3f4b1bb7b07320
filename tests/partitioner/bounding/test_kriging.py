"""Predictions against conditioning a normal distribution of everything that deviates, in full."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from partitioner.bounding import Bounds, Known, Kriging, afar
from partitioner.problem import Basis, Features, Line
from tests.partitioner.synthetic import convolutional
from tests.partitioner.tables import table

N = 9
MODEL = convolutional(N, seed=4)
FEATURES = MODEL.features()
TRUTH = MODEL.costs()
TRANSFERS = {name: table(FEATURES, name) for name in ("bytes in", "bytes out")}
UPPER = np.triu_indices(N + 1, 1)
BASIS = Basis(
    FEATURES.names,
    (2e5, 2.5, 3.5, 3.0, 0.9e-3),
    (5e4, 0.5, 1.0, 0.7, 0.4e-3),
    scale=0.3,
    noise=0.02,
)


def in_full(first: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of all segments, given those measured.

    What deviates: each rate, each operator, each place as a start and as an end, and each segment
    by itself.
    """
    rates, unsure = np.array(BASIS.rates), np.array(BASIS.unsure)
    rate_in, rate_out, rate_macs = rates[1], rates[2], rates[4]
    design = FEATURES.design(*UPPER)
    shares = rate_macs * FEATURES.per_operator["macs"]
    shares = np.maximum(shares, 0.02 * shares.mean())
    mixed = np.zeros((len(design), len(rates) + N + 2 * (N + 1)))
    mixed[:, : len(rates)] = design * unsure
    for row, (a, b) in enumerate(zip(*UPPER, strict=True)):
        mixed[row, len(rates) + a : len(rates) + b] = BASIS.scale * shares[a:b]
        at = len(rates) + N
        mixed[row, at + a] = BASIS.scale * rate_in * TRANSFERS["bytes in"][a, b]
        at += N + 1
        mixed[row, at + b] = BASIS.scale * rate_out * TRANSFERS["bytes out"][a, b]
    every = mixed @ mixed.T
    rows = [list(zip(*UPPER, strict=True)).index(pair) for pair in zip(first, end, strict=True)]
    latency = TRUTH[first, end]
    given = every[np.ix_(rows, rows)] + np.diag((BASIS.noise * latency) ** 2)
    gain = every[:, rows] @ np.linalg.inv(given)
    expected = design @ rates
    mean = expected + gain @ (latency - expected[rows])
    left = np.diag(every - gain @ every[rows])
    return mean, np.sqrt(np.maximum(left, 0.0) + (BASIS.noise * mean) ** 2)


@pytest.mark.parametrize("many", [0, 8])
@pytest.mark.parametrize("seed", range(4))
def test_predictions_are_those_of_the_whole_distribution(
    seed: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("partitioner.bounding.kriging._MANY_PAIRS", many)
    random = np.random.default_rng(seed)
    chosen = random.choice(len(UPPER[0]), 6, replace=False)
    first, end = UPPER[0][chosen], UPPER[1][chosen]
    mean, deviation = Kriging.of(FEATURES, BASIS, first, end, TRUTH[first, end]).at(*UPPER)
    expected, spread = in_full(first, end)
    assert mean == pytest.approx(expected, rel=1e-6)
    assert deviation == pytest.approx(spread, rel=1e-4)


def test_bounds_hold_and_reach_what_was_measured() -> None:
    """Of everything that was not measured, the truth lies between; what was is known."""
    places = Line(tuple(range(N + 1)))
    known = {(a, a + 2): int(TRUTH[a, a + 2]) for a in range(N - 1)}
    found = Known.of(places, FEATURES, BASIS, {**known, (0, N): None})
    lower, upper = found.bounds(places.segments())
    for (a, b), low, high in zip(zip(*UPPER, strict=True), lower, upper, strict=True):
        if (a, b) in known:
            assert low == high == known[a, b]
        elif (a, b) == (0, N):
            assert low == np.inf
        else:
            assert low <= TRUTH[a, b] <= high


def test_rates_made_up_to_prove_more_are_held_against_it() -> None:
    """A basis by which all takes longer, without a doubt, is granted more deviations."""
    first, end = UPPER
    latency = TRUTH[first, end]
    places = Line(tuple(range(N + 1)))
    honest = Bounds.of(places, FEATURES, BASIS, first, end, latency)
    higher = tuple(1.5 * rate for rate in BASIS.rates)
    sure = Basis(BASIS.features, higher, (0.0,) * len(higher), 0.001, 0.002)
    boasting = Bounds.of(places, FEATURES, sure, first, end, latency)
    assert honest.guard.model_sigmas is not None
    assert boasting.guard.model_sigmas is not None
    assert boasting.guard.model_sigmas > 5 * honest.guard.model_sigmas


def test_long_segments_tell_less_of_short_ones() -> None:
    """The parts of a whole that takes less than they: of no weight where it is far too long."""
    assert afar(np.array([5.0, 10.0, 30.0]), 10.0) == pytest.approx([0.0, 0.0, 0.2])
    assert not afar(np.array([5.0, 30.0]), 0.0).any()
    places = Line(tuple(range(N + 1)))
    first, end = np.array([0, N // 2, 0]), np.array([N // 2, N, N])
    latency = np.append(TRUTH[first[:2], end[:2]], 0.6 * TRUTH[0, N])
    found = {}
    for near_ns in (latency[2], latency[2] / 2.0, latency[2] / 20.0):
        basis = replace(BASIS, near_ns=near_ns)
        bounds = Bounds.of(places, FEATURES, basis, first, end, latency)
        assert bounds.kriging is not None
        found[near_ns] = bounds.guard.worst_violation, bounds.kriging.worst_sigmas
    violations, sigmas = zip(*found.values(), strict=True)
    assert violations[0] > violations[1] > violations[2] == 0.0
    assert sigmas[0] > sigmas[1] > sigmas[2]


def test_segments_are_alike_where_nothing_is_known() -> None:
    """Counting operators is a basis, too: what has more of them is expected to take longer."""
    counting = Features.counting(Line(tuple(range(N + 1))))
    basis = Basis(counting.names, (10.0, 5.0), (1.0, 1.0), scale=0.1, noise=0.002)
    mean, _ = Kriging.of(counting, basis, np.array([0]), np.array([2]), np.array([20.0])).at(
        np.array([3, 3]), np.array([4, 7])
    )
    assert mean == pytest.approx([15.0, 30.0], rel=0.02)
