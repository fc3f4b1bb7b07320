"""A latency that no cut is below, in whatever order its operators run: by relaxation.

Of a graph with too many ideals, segments are known by the stages that they lie between
(:class:`~partitioner.problem.Unordered`).  Operators get *work* ``g``, any numbers, and for every
step a constant ``c`` is found such that each segment S of that step takes at least::

    c + g(S)            g(S): the sum over the operators of S

Whoever stays at or under a latency B therefore does ``B - c`` of work in a step at most, and all
work that there is between its stages.  The most that so many segments can have done by each stage
is a small dynamic programme.  Loose operators are taken as divisible in it; that, and ``c``, is
what makes it a relaxation.  The least B by which everything can be done is the bound.

Three things are known of a step.  Measured segments within it, as in
:mod:`partitioner.bounding.bounds`.  What is expected of all that its segments are sure to have,
as if it were a segment; whatever more there is costs nothing or more, but operators at least
what they are expected to, less what they may deviate by.  And between two stages that are one
ideal each, the bounds on that very segment.

Of the segments up to a stage together more is known than of each: that they hold all that must have
run, which deviates less as a whole.  The slowest takes at least their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from partitioner.bounding.bounds import Bounds
from partitioner.bounding.deviations import MOVED
from partitioner.bounding.known import Known
from partitioner.bounding.sums import Sums
from partitioner.problem import UNTOLD, Array, Ideals, Line, Mask, Problem, Segments, Unordered

_HALVINGS = 40
"""Of the interval that the bound is in."""

_ROUNDING = 1e-6
"""Relative; features of segments are kept in single precision."""

_EQUAL = 1e-9
"""A bound that is no further than this below a latency (relative) reaches it but for rounding."""

_BOUNDARY = ("request", *MOVED)
_OFF_CHIP = "off-chip bytes"


@dataclass(frozen=True, eq=False)
class _Prices:
    """What steps take at least on one kind of device, ns.

    ``expected``: by operator (where it may run in two places, less its deviation, for that depends
    on where).  ``start``: by step, what its segments take beyond what their loose operators are
    expected to; ``floor``: what they take in any case, by what they are sure to have or by measured
    segments in them.
    """

    expected: Array
    start: Array
    floor: Array
    _sums: Sums

    @classmethod
    def of(cls, steps: Unordered, sums: Sums, bounds: Bounds) -> _Prices:
        both: Mask = np.asarray(steps.runs_on.all(axis=1))
        on_tpu = steps.runs_on[:, 0]
        told = [sums.operators(design) for design in (steps.on_tpu, steps.on_cpu)]
        unlike = np.minimum(*(mean - sums.sigmas * deviation for mean, deviation in told))
        expected = np.where(both, unlike, np.where(on_tpu, told[0][0], told[1][0]))
        design = np.where(on_tpu[:, None], steps.on_tpu, steps.on_cpu)
        loose = sums.loose(steps.loose, design, np.logical_not(both))
        sides = steps.entering, steps.leaving
        sure, start = map(_less, sums.least(steps.sure, steps.least, sides, loose))
        start = start - sums.sigmas * np.sqrt(steps.loose @ (sums.own * both))
        floor = np.maximum(sure, _from_parts(steps, sums.held, bounds))
        return cls(expected, start, floor, sums)

    def means(self, steps: Unordered, num_segments: int) -> Array:
        """By number of segments (rows) and stage, a latency that the slowest of the first so many
        up to there is not below, nor that of all others: together they take as much."""
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
                value, _ = self._sums.least(steps.sure[here], design, (untold, untold))
                row = result[number if here is ahead else num_segments - number]
                row[stages] = np.maximum(row[stages], _less(value) / number)
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
    prices = []
    for known in kinds:
        sums = None if known.inferred is None else Sums.of(places, known.inferred)
        if known.inferred is None or sums is None:
            return 0.0
        prices.append(_Prices.of(steps, sums, known.inferred))
    exact = _exact(steps, places, kinds)
    floor = np.maximum(exact, np.min([price.floor for price in prices], axis=0))
    work = np.min([price.expected for price in prices], axis=0)
    inside = steps.must[steps.end] & ~steps.may[steps.first]
    constants = np.min([price.start for price in prices], axis=0) - steps.sure @ work
    constants = np.maximum(constants, exact - inside @ work)
    means = np.zeros((num_segments + 1, len(steps.must)))
    if len(prices) == 1:  # of several kinds, nobody knows which segments are on which
        means = prices[0].means(steps, num_segments)
    return _least_feasible(steps, work, constants, floor, means, ceiling)


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


def _least_feasible(
    steps: Unordered, work: Array, constants: Array, floor: Array, means: Array, ceiling: float
) -> float:
    """The largest latency found by which the segments cannot do all work; ``ceiling`` if even
    that is not enough for it.  ``means``: by number of segments done and stage, none is below."""
    inside = steps.must[steps.end] & ~steps.may[steps.first]
    others = steps.loose & ~inside
    least = inside @ work + others @ np.minimum(work, 0.0)
    most = inside @ work + others @ np.maximum(work, 0.0)
    open_to = steps.may & ~steps.must
    highest = steps.must @ work + open_to @ np.maximum(work, 0.0)
    lowest = steps.must @ work + open_to @ np.minimum(work, 0.0)
    slack = _ROUNDING * float(np.abs(work).sum())

    def possible(latency: float) -> bool:
        gain = np.full((len(steps.must),) * 2, -np.inf)
        can = np.minimum(latency - constants, most)
        can[(latency - constants < least - slack) | (latency < floor)] = -np.inf
        gain[steps.first, steps.end] = can
        done = np.full(len(steps.must), -np.inf)
        done[0] = 0.0
        for mean in means[1:]:
            done = np.minimum((done[:, None] + gain).max(axis=0), highest)
            done[(done < lowest - slack) | (mean > latency)] = -np.inf
        return bool(np.isfinite(done[-1]))

    low, high = 0.0, ceiling
    if not possible(ceiling * (1.0 - _EQUAL)):
        return ceiling
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if possible(middle) else (middle, high)
    return low
