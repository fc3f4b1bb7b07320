"""How like two models are, output by output, over samples that neither was made with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FEWEST_CLASSES = 2


@dataclass(frozen=True)
class Likeness:
    """One output of the quantised model beside the float one's.

    ``snr_db`` is the float output's energy over that of the difference, in decibels (``inf`` where
    they are equal); ``cosine`` that of the angle between all values of both; ``top1_agreement`` the
    share of samples in which the same class is largest, ``None`` where an output is no list of
    classes; ``largest_error`` the largest difference of two values, in the output's own unit, and
    ``largest_value`` the largest value of the float output, to set it beside.
    """

    output: str
    samples: int
    snr_db: float
    cosine: float
    top1_agreement: float | None
    largest_error: float
    largest_value: float


class Comparison:
    """Collects one output's values, sample by sample, and keeps none of them."""

    def __init__(self, output: str, shape: tuple[int, ...]) -> None:
        self._output = output
        self._classes = len(shape) == 2 and shape[0] == 1 and shape[1] >= _FEWEST_CLASSES
        self._samples = 0
        self._agreeing = 0.0
        self._energy = self._other_energy = self._difference = self._product = 0.0
        self._largest_error = self._largest_value = 0.0

    def add(self, expected: NDArray[Any], found: NDArray[Any]) -> None:
        """One sample: what the float model made, and what the quantised one (its real values)."""
        a = np.asarray(expected, np.float64).reshape(-1)
        b = np.asarray(found, np.float64).reshape(-1)
        self._samples += 1
        self._energy += float(a @ a)
        self._other_energy += float(b @ b)
        self._product += float(a @ b)
        self._difference += float((a - b) @ (a - b))
        if a.size:
            self._largest_error = max(self._largest_error, float(np.abs(a - b).max()))
            self._largest_value = max(self._largest_value, float(np.abs(a).max()))
        if self._classes and b[a.argmax()] == b.max():
            # Eight bits may give the largest value to several classes; whoever chooses among
            # them finds the right one in so many of the cases.
            self._agreeing += 1 / int(np.count_nonzero(b == b.max()))

    def result(self) -> Likeness:
        """All samples together."""
        norms = math.sqrt(self._energy) * math.sqrt(self._other_energy)
        same = self._difference == 0
        return Likeness(
            self._output,
            self._samples,
            _decibels(self._energy, self._difference),
            1.0 if same else (self._product / norms if norms else 0.0),
            self._agreeing / self._samples if self._classes and self._samples else None,
            self._largest_error,
            self._largest_value,
        )


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
