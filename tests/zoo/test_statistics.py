"""Expected means and variances against closed forms and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import statistics as expect
from zoo.statistics import Statistics


def density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def below(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def relu_moments(mean: float, deviation: float) -> tuple[float, float]:
    """Mean and variance of max(x, 0) of a Gaussian, in closed form."""
    z = mean / deviation
    first = mean * below(z) + deviation * density(z)
    second = (mean**2 + deviation**2) * below(z) + mean * deviation * density(z)
    return first, second - first**2


@pytest.mark.parametrize("mean", [-2.0, -0.3, 0.0, 0.7, 3.0])
@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_relu_of_a_gaussian(mean: float, deviation: float) -> None:
    after = expect.clipped(expect.uniform(2, mean, deviation), 0.0, math.inf)
    first, variance = relu_moments(mean, deviation)
    assert after.mean == pytest.approx([first] * 2, abs=0.01 * deviation)
    assert after.variance == pytest.approx([variance] * 2, abs=0.02 * deviation**2)


def test_relu6_is_a_relu_minus_what_is_above_six() -> None:
    after = expect.clipped(expect.uniform(1, 5.0, 2.0), 0.0, 6.0)
    # min(relu(x), 6) = relu(x) - relu(x - 6)
    expected = relu_moments(5.0, 2.0)[0] - relu_moments(5.0 - 6.0, 2.0)[0]
    assert after.mean[0] == pytest.approx(expected, abs=0.02)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-127, 127), st.floats(-8, 8), st.floats(0, 4)), min_size=1, max_size=9
    )
)
def test_a_weighted_sum_is_summed_exactly(terms: list[tuple[int, float, float]]) -> None:
    weights = np.array([[w for w, _, _ in terms]], np.int64)
    inputs = Statistics(np.array([m for _, m, _ in terms]), np.array([v for _, _, v in terms]))
    after = expect.weighted(inputs, weights, weights * weights)
    assert after.mean[0] == pytest.approx(sum(w * m for w, m, _ in terms), abs=1e-2)
    assert after.variance[0] == pytest.approx(sum(w * w * v for w, _, v in terms), abs=0.2)
    backwards = Statistics(inputs.mean[::-1], inputs.variance[::-1])
    flipped = weights[:, ::-1]
    again = expect.weighted(backwards, flipped, flipped * flipped)
    assert (again.mean[0], again.variance[0]) == (after.mean[0], after.variance[0])


def test_the_largest_of_three_normals() -> None:
    random = np.random.default_rng(0)
    largest = random.normal(size=(400_000, 3)).max(axis=1)
    after = expect.window_maximum(expect.uniform(1, 0.0, 1.0))
    assert after.mean[0] == pytest.approx(largest.mean(), abs=0.01)
    assert after.variance[0] == pytest.approx(largest.var(), abs=0.01)


def test_sums_products_and_pools_of_independent_channels() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(1.0, 2.0, 400_000), random.normal(-3.0, 0.5, 400_000)
    left, right = expect.uniform(1, 1.0, 2.0), expect.uniform(1, -3.0, 0.5)
    for after, values in (
        (expect.added(left, right), a + b),
        (expect.multiplied(left, right), a * b),
        (expect.pooled(expect.concatenated([left, right]), 1), np.concatenate([a, b])),
    ):
        assert after.mean[0] == pytest.approx(values.mean(), abs=0.05)
        assert after.variance[0] == pytest.approx(values.var(), rel=0.01)
