"""What to ask at once where many segments have to be asked for, and asking costs little.

Where segments scatter for no reason known, each stands for itself: a cut at a time, with a solution
of the whole problem before each, would take hours.  Once many are known, a share of as many again
is asked for before the next solution, so that what solving costs stays in proportion.  That is for
tables of latencies: devices take longer to measure a segment than it takes to choose it well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.beliefs import Beliefs
from partitioner.problem import Problem
from partitioner.solving import Offer, least_through
from partitioner.strategies.next_segments import Task

SCATTER = 0.02
"""Relative scatter of single segments from which on it is to be reckoned with."""

MANY, MANY_WITHOUT_SCATTER = 60, 200
"""Measurements, on each kind of device, from which on more than one cut is measured at a time; of
vastly many segments as if they scattered."""

_THOUGHT = 50_000
"""Looking at so many segments takes as long as is worth doubling what was measured; looking at
fewer, a share of that."""

_LEAST = 0.97
"""Segments expected below this share of the best cut's bottleneck hardly rule anything out."""


def many_segments(
    problem: Problem,
    beliefs: Sequence[Beliefs],
    counts: Sequence[int],
    bar: float,
    measured: int,
) -> list[Task]:
    """Those that rule out most of what may be faster than ``bar``, the likeliest cuts' first.

    Of cuts that are hopeful, the segments that are expected not to be faster; those in the cuts
    that are expected to be the fastest are measured first.
    """
    some = [belief.where(belief.lower < bar) for belief in beliefs]
    offers = [Offer(b.segments, b.expected, count) for b, count in zip(some, counts, strict=True)]
    through = least_through(offers, problem.num_segments, problem.allowed_cuts())
    wanted = int(measured * min(1.0, sum(map(len, through)) / _THOUGHT))
    chosen, kinds = [], []
    for kind, (belief, value) in enumerate(zip(some, through, strict=True)):
        unknown = (belief.lower < belief.upper) & np.isfinite(value)
        chosen.append(np.flatnonzero(unknown & (belief.expected >= _LEAST * bar)))
        kinds.append(np.full(len(chosen[-1]), kind))
    values = np.concatenate([value[at] for value, at in zip(through, chosen, strict=True)])
    every, kind_of = np.concatenate(chosen), np.concatenate(kinds)
    tasks = []
    for n in np.argsort(values, kind="stable")[:wanted]:
        kind, at = int(kind_of[n]), every[n]
        segments = some[kind].segments
        first, end = int(segments.first[at]), int(segments.end[at])
        tasks.append((problem.places.operators(first, end), kind))
    return tasks
