"""The cost model: what it learns from measurements, and whether its doubts are justified."""

from __future__ import annotations

import numpy as np
import pytest

from partitioner.beliefs.cost_model import fitted
from partitioner.bounding import Kriging
from partitioner.problem import Features, Line
from tests.partitioner.synthetic import convolutional

N = 40
MODEL = convolutional(N, seed=3)
TRUTH = MODEL.costs()
UPPER = np.triu_indices(N + 1, 1)


def learnt(features: Features, first: np.ndarray, end: np.ndarray, latency: np.ndarray) -> Kriging:
    return Kriging.of(features, fitted(features, first, end, latency), first, end, latency)


def predict(count: int, seed: int = 0) -> tuple[Kriging, np.ndarray, np.ndarray]:
    """Fit to ``count`` random segments and the whole model."""
    random = np.random.default_rng(seed)
    chosen = random.choice(len(UPPER[0]), count, replace=False)
    first = np.append(UPPER[0][chosen], 0)
    end = np.append(UPPER[1][chosen], N)
    return learnt(MODEL.features(), first, end, TRUTH[first, end]), first, end


def test_measured_segments_are_reproduced() -> None:
    prediction, first, end = predict(12)
    mean, _ = prediction.at(first, end)
    assert mean == pytest.approx(TRUTH[first, end], rel=0.01)


def test_more_measurements_predict_better() -> None:
    errors = []
    for count in (4, 10, 30):
        prediction, _, _ = predict(count)
        errors.append(np.median(np.abs(prediction.at(*UPPER)[0] / TRUTH[UPPER] - 1.0)))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.03


@pytest.mark.parametrize("seed", range(5))
def test_truth_lies_within_the_doubts(seed: int) -> None:
    prediction, _, _ = predict(15, seed)
    mean, deviation = prediction.at(*UPPER)
    sigmas = (mean - TRUTH[UPPER]) / np.maximum(deviation, 1.0)
    assert np.quantile(np.abs(sigmas), 0.99) < 4.0
    assert np.median(deviation / TRUTH[UPPER]) < 0.25


def test_latencies_far_apart_do_no_harm() -> None:
    """Nanoseconds beside minutes: the equations stay solvable."""
    features = Features.counting(Line((0, 1, 2, 3)))
    first, end = np.array([0, 1, 2, 0]), np.array([1, 2, 3, 3])
    prediction = learnt(features, first, end, np.array([1.0, 1e3, 6e10, 7e10]))
    for table in (*prediction.at(first, end), prediction.boundary_axes):
        assert np.isfinite(table).all()


def test_overestimates_are_noticed() -> None:
    """One segment much faster than the others make believe."""
    features = Features.counting(Line(tuple(range(9))))
    first, end = np.arange(8), np.arange(1, 9)
    latency = np.full(8, 1e6)
    even = learnt(features, first, end, latency)
    latency[3] = 2e5
    odd = learnt(features, first, end, latency)
    assert even.worst_error < 0.01
    assert odd.worst_error > 1.0
