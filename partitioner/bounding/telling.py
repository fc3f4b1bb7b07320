"""Which measurements bounds are worked out from, and how much each is taken to tell."""

from __future__ import annotations

import numpy as np

from partitioner.problem import Array, Index

MOST_TOLD = 200
"""More add little to what is known of the others, and what they cost grows with their cube.  The
rest still stands for itself, and bounds from fewer are only looser."""

_AFAR = 0.1
"""Relative error that a measured segment tells of others with, for each time that it is longer than
those in question.  What long segments take is harder to foretell (parameters are streamed behind
computing, layer by layer), and taken for exact they make everything else look uncertain: into 2 to
8 segments, a search that knew what others had measured for fewer segments measured up to 2.9 times
as many new ones as alone, with this 1.3 times (12 models of the zoo); with 0.03 up to 1.5 times,
with 0.2 searches alone measure more."""


def telling(measured: int) -> Index:
    """Numbers of those that bounds rest on, evenly spread over ``measured`` ones in order."""
    if measured <= MOST_TOLD:
        return np.arange(measured)
    return np.linspace(0, measured - 1, MOST_TOLD).astype(np.intp)


def afar(latency: Array, near_ns: float) -> Array:
    """The relative error, beside their own scatter, that measured latencies (ns) tell of segments
    with that take at most ``near_ns``; none where that is 0."""
    if not near_ns:
        return np.zeros(len(latency))
    return np.asarray(_AFAR * np.maximum(latency / near_ns - 1.0, 0.0))
