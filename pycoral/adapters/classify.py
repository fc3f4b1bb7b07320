"""Results of a classification model."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pycoral.described_tensors import Results, quantization_of, readable


class Class(NamedTuple):
    """One class found: its number (the position in the output) and its score."""

    id: int
    score: float


def num_classes(interpreter: Results) -> int:
    """Give the number of classes: the number of elements of output 0."""
    shape = readable(interpreter).get_output_details()[0]["shape"]
    return math.prod(int(dimension) for dimension in shape)


def get_scores(interpreter: Results) -> NDArray[Any]:
    """Give output 0 as a flat array of real-valued scores, a copy.

    ``interpreter`` has run a classifier, or is what a pipeline's ``pop`` returned of one.

    An integer output is dequantised as ``scale * (q - zero_point)`` in ``float64``; a floating
    point output is returned in its own dtype.

    Raises:
        ValueError: an integer output of a plain dict, of which the scale is not known.
    """
    found = readable(interpreter)
    details = found.get_output_details()[0]
    output = found.tensor(details["index"])().flatten()
    if not np.issubdtype(output.dtype, np.integer):
        return output
    scale, zero_point = quantization_of(details)
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
    interpreter: Results,
    top_k: float = float("inf"),
    score_threshold: float = -float("inf"),
) -> list[Class]:
    """Give the best classes of the last inference; see :func:`get_classes_from_scores`."""
    return get_classes_from_scores(get_scores(interpreter), top_k, score_threshold)
