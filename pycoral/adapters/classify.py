"""Results of a classification model."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pycoral.interpreter_like import InterpreterLike


class Class(NamedTuple):
    """One class found: its number (the position in the output) and its score."""

    id: int
    score: float


def num_classes(interpreter: InterpreterLike) -> int:
    """Give the number of classes: the number of elements of output 0."""
    return math.prod(int(dimension) for dimension in interpreter.get_output_details()[0]["shape"])


def get_scores(interpreter: InterpreterLike) -> NDArray[Any]:
    """Give output 0 as a flat array of real-valued scores, a copy.

    An integer output is dequantised as ``scale * (q - zero_point)`` in ``float64``; a floating
    point output is returned in its own dtype.
    """
    details = interpreter.get_output_details()[0]
    output = interpreter.tensor(details["index"])().flatten()
    if not np.issubdtype(output.dtype, np.integer):
        return output
    scale, zero_point = details["quantization"]
    return np.asarray(scale * (output.astype(np.int64) - zero_point))


def get_classes_from_scores(
    scores: ArrayLike, top_k: float = float("inf"), score_threshold: float = -float("inf")
) -> list[Class]:
    """Give the best classes, best first; of equal scores the lower id comes first.

    Args:
        scores: one score per class.
        top_k: at most so many classes.  0 gives all of them, as in pycoral (where it is the
            slice ``[-0:]``), which programs pass for "no limit".
        score_threshold: leave out classes that score less.
    """
    values = np.asarray(scores)
    # Sorting the reversed scores ascending and keeping ties stable puts the lowest id of equal
    # scores last, that is first when read from the end.  (Negating would wrap unsigned scores.)
    ascending = len(values) - 1 - np.argsort(values[::-1], kind="stable")
    best = ascending[-int(min(top_k, len(values))) :][::-1]
    return [Class(int(i), values[i]) for i in best if values[i] >= score_threshold]


def get_classes(
    interpreter: InterpreterLike,
    top_k: float = float("inf"),
    score_threshold: float = -float("inf"),
) -> list[Class]:
    """Give the best classes of the last inference; see :func:`get_classes_from_scores`."""
    return get_classes_from_scores(get_scores(interpreter), top_k, score_threshold)
