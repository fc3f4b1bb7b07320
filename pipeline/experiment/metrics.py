"""From the times of items to the figures of a point: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from pipeline.experiment.times import Items, Repeat, Times

_STUDENT_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom (any table of it)."""

PERCENTILES = (50, 90, 95, 99)
_DRAWN = 24
"""Items that a timeline shows."""
_CURVE = 101
"""Points of a distribution: every percentile."""


@dataclass(frozen=True)
class StageResult:
    """One stage over all repeats: per item, in ns; ``utilization`` is its device's busy share.

    ``wait_ns`` is from leaving the stage before (or from when the item was there) to the start,
    ``blocked_ns`` from the end to when there was room downstream, ``shared_ns`` what is between
    start and end, beside ``latency_ns``, because others used what devices share.
    """

    copy: int
    segment: int
    device: str
    latency_ns: int
    wait_ns: int
    blocked_ns: int
    utilization: float
    shared_ns: int = 0


@dataclass(frozen=True)
class Drawn:
    """An item in a stage, for a timeline; ns from the first moment of the measurement."""

    copy: int
    segment: int
    item: int
    start_ns: int
    finish_ns: int
    depart_ns: int


def interval_of(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of a mean, by Student's t; open where there is one value."""
    count = len(values)
    if count < 2:
        return -inf, inf
    mean = sum(values) / count
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    freedom = count - 1
    factor = _STUDENT_95[freedom - 1] if freedom <= len(_STUDENT_95) else 1.96 + 2.5 / freedom
    half = factor * deviation / sqrt(count)
    return mean - half, mean + half


def throughput_of(items: Items) -> float:
    """Items per second between the first and the last that left, of all copies together.

    Each copy by itself, because items of several may leave at one moment, and as many as there are
    copies would be counted too much.  A copy that fewer than two left, or all at one moment, counts
    nothing.
    """
    total = 0.0
    for copy in np.unique(items.copy):
        exits = items.exit_ns[items.copy == copy]
        span = int(exits.max() - exits.min())
        total += (len(exits) - 1) * 1e9 / span if span else 0.0
    return total


def responses_of(items: Items, *, queued: bool) -> Times:
    """How long each item took: from when it was there, or where items always are, from entering."""
    return items.exit_ns - (items.ready_ns if queued else items.entry_ns)


def percentile(values: Sequence[int] | Times, share: float) -> int | None:
    """The smallest value that ``share`` percent are at or under; ``None`` without values."""
    if not len(values):
        return None
    return int(np.percentile(np.asarray(values), share, method="inverted_cdf"))


def curve_of(values: Sequence[int] | Times) -> tuple[int, ...]:
    """The distribution: the 0th to the 100th percentile."""
    if not len(values):
        return ()
    shares = np.linspace(0, 100, _CURVE)
    return tuple(int(v) for v in np.percentile(np.asarray(values), shares, method="inverted_cdf"))


def stages_of(repeats: Sequence[Repeat], *, queued: bool) -> tuple[StageResult, ...]:
    """Every stage of every copy, averaged over the measured items of all repeats."""
    sums: dict[tuple[int, int], NDArray[np.float64]] = {}
    names: dict[tuple[int, int], dict[str, None]] = {}
    for repeat in repeats:
        items = repeat.items
        span = int(items.exit_ns.max() - items.entry_ns.min()) if len(items) else 0
        before: dict[int, Times] = {}
        for copy in np.unique(items.copy) if queued else ():
            own = items.copy == copy
            before[copy] = _by_number(items.number[own], items.ready_ns[own])
        for stage in repeat.stages:
            busy, shared = int(stage.busy_ns.sum()), int(stage.shared_ns.sum())
            blocked = int((stage.depart_ns - stage.finish_ns).sum())
            earlier = _looked_up(before.get(stage.copy), stage.number, stage.start_ns)
            wait = int(np.maximum(0, stage.start_ns - earlier).sum())
            before[stage.copy] = _by_number(stage.number, stage.depart_ns)
            share = min(1.0, busy / span) if span > 0 else 0.0
            place = (stage.copy, stage.segment)
            names.setdefault(place, {})[stage.device] = None
            total = sums.setdefault(place, np.zeros(6))
            total += (len(stage.number), busy, wait, blocked, shared, share)
    return tuple(
        StageResult(
            copy,
            segment,
            ", ".join(names[copy, segment]),
            round(busy / count) if count else 0,
            round(wait / count) if count else 0,
            round(blocked / count) if count else 0,
            share / len(repeats),
            round(shared / count) if count else 0,
        )
        for (copy, segment), (count, busy, wait, blocked, shared, share) in sorted(
            (place, total.tolist()) for place, total in sums.items()
        )
    )


def _by_number(number: Times, values: Times) -> Times:
    """Values at the index of their item, -1 where there is none."""
    found = np.full(int(number.max(initial=-1)) + 1, -1, np.int64)
    found[number] = values
    return found


def _looked_up(values: Times | None, number: Times, otherwise: Times) -> Times:
    if values is None:
        return otherwise
    known = number < len(values)
    found = otherwise.copy()
    found[known] = values[number[known]]
    return np.where(found < 0, otherwise, found)


def cpu_share_of(repeats: Sequence[Repeat]) -> float:
    """Share of all stages' busy time that is the host's CPU's."""
    stages = [stage for repeat in repeats for stage in repeat.stages]
    busy = sum(int(stage.busy_ns.sum()) for stage in stages)
    return sum(int(stage.cpu_ns.sum()) for stage in stages) / busy if busy else 0.0


def drawn_of(repeat: Repeat) -> tuple[Drawn, ...]:
    """The first measured items in every stage, for a timeline."""
    rows = [
        (stage.copy, stage.segment, *map(int, row))
        for stage in repeat.stages
        for row in zip(
            *(
                one[: int(np.searchsorted(stage.number, _DRAWN))]
                for one in (stage.number, stage.start_ns, stage.finish_ns, stage.depart_ns)
            ),
            strict=True,
        )
    ]
    origin = min((row[3] for row in rows), default=0)
    return tuple(
        Drawn(copy, segment, item, start - origin, finish - origin, depart - origin)
        for copy, segment, item, start, finish, depart in rows
    )
