"""``pycoral.adapters.segment``."""

from __future__ import annotations

import numpy as np

from pycoral.adapters import segment


def test_output_is_a_uint8_copy_without_the_batch_dimension(fake_interpreter):
    classes = np.arange(6, dtype=np.int64).reshape(1, 2, 3)
    interpreter = fake_interpreter(outputs=[classes])
    result = segment.get_output(interpreter)
    assert result.dtype == np.uint8
    assert result.tolist() == [[0, 1, 2], [3, 4, 5]]
    classes[:] = 0
    assert result[1, 2] == 5


def test_class_scores_are_left_to_the_caller(fake_interpreter):
    scores = np.zeros((1, 2, 3, 21))
    assert segment.get_output(fake_interpreter(outputs=[scores])).shape == (2, 3, 21)


def test_the_best_class_stays_the_best_where_scores_are_int8(fake_interpreter):
    scores = np.random.default_rng(1).integers(-128, 128, (1, 9, 9, 5), np.int8)
    result = segment.get_output(fake_interpreter(outputs=[scores]))
    assert result.dtype == np.uint8
    assert np.array_equal(result.argmax(axis=-1), scores[0].argmax(axis=-1))
    assert np.array_equal(result, scores[0].astype(int) + 128)
    scores[:] = 0
    assert result.any()
