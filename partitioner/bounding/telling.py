"""Which measurements bounds are worked out from, where there are very many."""

from __future__ import annotations

import numpy as np

from partitioner.problem import Index

MOST_TOLD = 200
"""More add little to what is known of the others, and what they cost grows with their cube.  The
rest still stands for itself, and bounds from fewer are only looser."""


def telling(measured: int) -> Index:
    """Numbers of those that bounds rest on, evenly spread over ``measured`` ones in order."""
    if measured <= MOST_TOLD:
        return np.arange(measured)
    return np.linspace(0, measured - 1, MOST_TOLD).astype(np.intp)
