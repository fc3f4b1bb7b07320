"""Likeness against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compiler.quantizing.likeness import Comparison


def test_figures_worked_out_by_hand() -> None:
    one = Comparison("scores", (1, 2))
    one.add(np.array([[3.0, 4.0]]), np.array([[3.0, 3.0]]))
    one.add(np.array([[0.0, 5.0]]), np.array([[0.0, 5.0]]))
    found = one.result()
    assert found.samples == 2
    assert found.snr_db == pytest.approx(10 * math.log10(50 / 1))
    assert found.cosine == pytest.approx((9 + 12 + 25) / math.sqrt(50 * (18 + 25)))
    assert (found.largest_error, found.largest_value) == (1, 5)
    # In the first sample both classes have the largest value: right in one of two cases.
    assert found.top1_agreement == 0.75


def test_equal_outputs_have_no_noise_also_when_they_are_zero() -> None:
    for values in (np.zeros((1, 3)), np.array([[1.0, 2.0, 3.0]])):
        one = Comparison("scores", (1, 3))
        one.add(values, values)
        assert one.result().snr_db == math.inf
        assert one.result().cosine == 1


def test_only_a_row_of_classes_has_a_winner() -> None:
    for shape in ((1, 4, 4, 2), (1, 1), (2, 3), (5,)):
        one = Comparison("map", shape)
        one.add(np.ones(shape), np.zeros(shape))
        assert one.result().top1_agreement is None
        assert one.result().cosine == 0
        assert one.result().snr_db == 0
