"""Scales cover their range, zero is exact, tied tensors agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.quantization import (
    PROBABILITY,
    Quantization,
    Range,
    TieError,
    Ties,
    quantization_of,
)


@settings(deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_a_range_is_covered_to_half_a_step(low: float, width: float) -> None:
    values = Range(low, low + width)
    q = quantization_of(values)
    assert -128 <= q.zero_point <= 127
    assert float(np.float32(q.scale)) == q.scale
    smallest, largest = ((edge - q.zero_point) * q.scale for edge in (-128, 127))
    slack = 0.5001 * q.scale
    assert smallest <= values.low + slack
    assert largest >= values.high - slack
    # Zero is a whole number of steps by construction; no more range than needed is spent.
    assert largest - smallest <= (max(values.high, 0) - min(values.low, 0)) * 1.0001


def test_a_relu_spends_everything_on_the_positive_side() -> None:
    assert quantization_of(Range(0.0, 6.0)) == Quantization(float(np.float32(6 / 255)), -128)


def test_an_empty_range_still_has_a_scale() -> None:
    assert quantization_of(Range(0.0, 0.0)) == Quantization(1.0, 0)


def test_ties_are_transitive_and_cover_everybody() -> None:
    ties = Ties()
    a, b, c = (ties.new(Range(0, high)) for high in (1.0, 2.0, 5.0))
    ties.tie(a, b)
    ties.tie(b, c)
    assert {ties.quantization(group) for group in (a, b, c)} == {quantization_of(Range(0, 5))}


def test_a_fixed_quantisation_wins_and_two_different_ones_are_refused() -> None:
    ties = Ties()
    free, probability, image = (
        ties.new(Range(0, 9)),
        ties.new(Range(0, 1), PROBABILITY),
        ties.new(Range(-1, 1), Quantization(1 / 128, 0)),
    )
    ties.tie(free, probability)
    assert ties.quantization(free) == PROBABILITY
    with pytest.raises(TieError, match=r"put a quantize\(\) between them"):
        ties.tie(image, free)
