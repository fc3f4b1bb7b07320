"""The kinds of arrays this room computes with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Costs, in nanoseconds unless said otherwise, or amounts."""

Index = NDArray[np.intp]
"""Numbers of places, segments or operators."""

Mask = NDArray[np.bool_]
"""Which of them."""

Table = NDArray[np.float32]
"""A feature of segments, by the numbers of two places."""
