"""Where cuts can be at all, so that most segments need not be looked at for each of them.

Into 16 segments none of which is much longer than a 16th of the model, the third cut can only be
about three 16ths into it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.problem import Segments

Window = tuple[int, int]
"""The lowest and the highest place where a cut may be; the wrong way round if it can be nowhere."""


def windows_of(kinds: Sequence[Segments], num_segments: int) -> list[Window]:
    """For each cut, both ends of the model among them, places that it is between in any path.

    Places are taken to be reached from all between two that are, which costs little to follow.
    """
    places = kinds[0].num_places
    nearest, furthest = np.full(places, places), np.full(places, -1)
    for segments in kinds:
        first, starts = segments.runs
        lasts = np.append(starts[1:], len(segments)) - 1
        nearest[first] = np.minimum(nearest[first], segments.end[starts])
        furthest[first] = np.maximum(furthest[first], segments.end[lasts[: len(first)]])
    nowhere = [(1, 0)] * (num_segments + 1)
    windows = [(0, 0)]
    for _ in range(num_segments):
        low, high = windows[-1]
        here = slice(low, high + 1)
        windows.append((int(nearest[here].min()), int(furthest[here].max())))
        if windows[-1][1] < 0:
            return nowhere
    windows[-1] = (places - 1, places - 1)
    for cut in reversed(range(num_segments)):
        (low, high), (ends_low, ends_high) = windows[cut], windows[cut + 1]
        here = slice(low, high + 1)
        leads = (nearest[here] <= ends_high) & (furthest[here] >= ends_low)
        if not leads.any():
            return nowhere
        some = low + np.flatnonzero(leads)
        windows[cut] = int(some[0]), int(some[-1])
    return windows
