"""Non-negative least squares: the conditions that only the optimum meets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner.beliefs.nnls import nnls


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 10_000))
def test_no_coordinate_can_improve(rows: int, columns: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.standard_normal((rows, columns))
    target = random.standard_normal(rows)
    x = nnls(matrix, target)
    gradient = matrix.T @ (matrix @ x - target)
    assert (x >= 0).all()
    assert (gradient > -1e-7).all()  # increasing any coordinate does not help
    assert np.abs(gradient[x > 0]).max(initial=0.0) < 1e-7  # nor does changing a positive one


def test_known_solution() -> None:
    matrix = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert nnls(matrix, np.array([2.0, 1.0, -1.0])) == pytest.approx([1.5, 0.0])
    assert nnls(matrix, np.array([1.0, 3.0, 2.0])) == pytest.approx([1.0, 2.0])
