"""``pycoral.adapters.classify`` on scores worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycoral.adapters import classify
from pycoral.adapters.classify import Class


def test_num_classes_is_the_number_of_output_elements(fake_interpreter):
    assert classify.num_classes(fake_interpreter(outputs=[np.zeros((1, 1, 1, 12), np.uint8)])) == 12


@pytest.mark.parametrize(
    ("dtype", "quantized", "zero_point", "expected"),
    [
        (np.uint8, [0, 128, 255], 128, [-64.0, 0.0, 63.5]),
        (np.int8, [-128, 0, 127], -128, [0.0, 64.0, 127.5]),
    ],
)
def test_integer_scores_are_dequantised(fake_interpreter, dtype, quantized, zero_point, expected):
    interpreter = fake_interpreter(
        outputs=[np.array([quantized], dtype)], quantization=(0.5, zero_point)
    )
    assert classify.get_scores(interpreter).tolist() == expected


def test_float_scores_are_a_copy_in_their_own_dtype(fake_interpreter):
    interpreter = fake_interpreter(outputs=[np.array([[0.25, 0.75]], np.float32)])
    scores = classify.get_scores(interpreter)
    assert scores.dtype == np.float32
    interpreter.outputs[0][:] = 0
    assert scores.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("top_k", "threshold", "expected"),
    [
        (float("inf"), -float("inf"), [(2, 0.5), (1, 0.25), (3, 0.25), (0, 0.125)]),
        (1, -float("inf"), [(2, 0.5)]),
        (2, -float("inf"), [(2, 0.5), (1, 0.25)]),
        (9, 0.25, [(2, 0.5), (1, 0.25), (3, 0.25)]),
        (9, 0.51, []),
        # The slice [-0:] of pycoral: no limit.
        (0, 0.2, [(2, 0.5), (1, 0.25), (3, 0.25)]),
    ],
)
def test_classes_come_best_first(top_k, threshold, expected):
    scores = np.array([0.125, 0.25, 0.5, 0.25])
    assert classify.get_classes_from_scores(scores, top_k, threshold) == [
        Class(*pair) for pair in expected
    ]


def test_raw_unsigned_scores_are_ordered_as_numbers():
    found = classify.get_classes_from_scores(np.array([0, 255, 3], np.uint8), top_k=3)
    assert [c.id for c in found] == [1, 2, 0]


@given(st.lists(st.integers(0, 20), min_size=1), st.integers(1, 40), st.integers(0, 20))
def test_classes_are_what_a_plain_sort_gives(scores, top_k, threshold):
    ranked = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:top_k]
    expected = [(i, scores[i]) for i in ranked if scores[i] >= threshold]
    assert classify.get_classes_from_scores(scores, top_k, threshold) == expected


def test_get_classes_joins_the_two(fake_interpreter):
    interpreter = fake_interpreter(
        outputs=[np.array([[10, 30, 20]], np.uint8)], quantization=(0.1, 10)
    )
    assert classify.get_classes(interpreter, 2, 0.5) == [
        Class(1, pytest.approx(2.0)),
        Class(2, pytest.approx(1.0)),
    ]
