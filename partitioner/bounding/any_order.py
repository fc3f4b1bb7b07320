"""A latency that no cut is below, in whatever order its operators run: by relaxation.

Of a graph with too many ideals, segments are known by the stages that they lie between
(:class:`~partitioner.problem.Unordered`).  For every step from stage to stage a latency is found
that none of its segments is below.  Every cut is a path of so many steps, though not every path is
a cut; so the path whose slowest step takes least is a bound on all of them.

Three things are known of a step.  Measured segments within it, as in
:mod:`partitioner.bounding.bounds`.  What is expected of all that its segments are sure to have,
as if it were a segment, less what that may deviate by; whatever more there is costs nothing or
more.  And between two stages that are one ideal each, the bounds on that very segment.

Of the segments up to a stage together more is known than of each: that they hold all that must have
run, which deviates less as a whole.  The slowest takes at least their mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.bounding.bounds import Bounds
from partitioner.bounding.deviations import MOVED
from partitioner.bounding.known import Known
from partitioner.bounding.sums import Sums
from partitioner.problem import UNTOLD, Array, Ideals, Line, Mask, Problem, Segments, Unordered

_ROUNDING = 1e-6
"""Relative; features of segments are kept in single precision."""

_EQUAL = 1e-9
"""A bound that is no further than this below a latency (relative) reaches it but for rounding."""

_BOUNDARY = ("request", *MOVED)
_OFF_CHIP = "off-chip bytes"


def _means(steps: Unordered, sums: Sums, num_segments: int) -> Array:
    """By number of segments (rows) and stage, a latency that the slowest of the first so many up to
    there is not below, nor that of all others: together they take as much."""
    count = len(steps.must)
    result = np.zeros((num_segments + 1, count))
    if steps.runs_on.all(axis=1).any():  # where they run depends on which segment they are in
        return result
    request, off_chip = steps.names.index("request"), steps.names.index(_OFF_CHIP)
    apart = int((~steps.runs_on[:, 0]).sum())
    ahead, behind = np.flatnonzero(steps.first == 0), np.flatnonzero(steps.end == count - 1)
    for here, stages in ((ahead, steps.end[ahead]), (behind, steps.first[behind])):
        design, untold = steps.least[here], np.full(len(here), UNTOLD)
        requests = design[:, request].copy()
        design[:, off_chip] = 0.0  # in several memories it may fit
        for number in range(1, num_segments + 1):
            design[:, request] = max(1, number - apart) * requests
            value = _less(sums.least(steps.sure[here], design, (untold, untold)))
            row = result[number if here is ahead else num_segments - number]
            row[stages] = np.maximum(row[stages], value / number)
    return result


def _less(latency: Array) -> Array:
    return np.asarray(latency - _ROUNDING * np.abs(latency))


def _from_parts(steps: Unordered, held: Mask, bounds: Bounds) -> Array:
    """By step, what the measured segments (rows of ``held``) that it is sure to contain take."""
    behind = ~(held @ steps.may.T)
    within = ~(held @ ~steps.must.T)
    count = len(steps.must)
    parts = Segments(count, behind.sum(axis=1) - 1, count - within.sum(axis=1))
    at = Segments(count, steps.first, steps.end)
    boundary = steps.least[:, : len(_BOUNDARY)]
    found = bounds.from_parts_along(boundary, Line(tuple(range(count))), parts, at)
    return _less(found)


def bound_in_any_order(problem: Problem, kinds: Sequence[Known], best: float, among: int) -> int:
    """A latency, ns, that no cut has a bottleneck below, in any order of the operators.

    ``kinds``: what is known of each kind of device; any may take any segment.  ``best``: what some
    cut takes; ``among``: the bound on the cuts that the problem asks about, than which no more is
    claimed.  0 where nothing is known of others, or of what was not measured.
    """
    if problem.all_orders:
        return among
    if problem.unordered is None or problem.ideals is None:
        return 0
    least = _least(problem.unordered, problem.ideals, kinds, problem.num_segments, best)
    return min(among, int(least))


def _least(
    steps: Unordered, places: Ideals, kinds: Sequence[Known], num_segments: int, ceiling: float
) -> float:
    floors, of_kinds = [], []
    for known in kinds:
        bounds = known.of_sums()
        sums = None if bounds is None else Sums.of(places, bounds)
        if bounds is None or sums is None:
            return 0.0
        of_kinds.append(sums)
        sure = _less(sums.least(steps.sure, steps.least, (steps.entering, steps.leaving)))
        floors.append(np.maximum(sure, _from_parts(steps, sums.held, bounds)))
    takes = np.full((len(steps.must),) * 2, np.inf)
    takes[steps.first, steps.end] = np.maximum(_exact(steps, places, kinds), np.min(floors, axis=0))
    means = np.zeros((num_segments + 1, len(steps.must)))
    if len(of_kinds) == 1:  # of several kinds, nobody knows which segments are on which
        means = _means(steps, of_kinds[0], num_segments)
    reached = np.full(len(steps.must), np.inf)
    reached[0] = 0.0
    for mean in means[1:]:
        reached = np.maximum(np.maximum(reached[:, None], takes).min(axis=0), mean)
    least = float(reached[-1])
    return ceiling if least >= ceiling * (1.0 - _EQUAL) else least


def _exact(steps: Unordered, places: Ideals, kinds: Sequence[Known]) -> Array:
    """The bounds on segments between stages that are one ideal each, else ``-inf``."""
    number = {ideal: place for place, ideal in enumerate(places.sets)}
    place = np.full(len(steps.must), -1)
    for stage, (must, may) in enumerate(zip(steps.must, steps.may, strict=True)):
        if (must == may).all():
            bits = sum(1 << int(i) for i in np.flatnonzero(must))
            place[stage] = number.get(bits, -1)
    first, end = place[steps.first], place[steps.end]
    told = (first >= 0) & (end >= 0)
    result = np.full(len(first), -np.inf)
    between = Segments(len(places), first[told], end[told])
    result[told] = np.min([known.bounds(between)[0] for known in kinds], axis=0)
    return result
