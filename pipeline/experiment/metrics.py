"""From the times of items to the figures of a point: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from pipeline.experiment.measuring import ItemTimes, Repeat

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


def throughput_of(items: Sequence[ItemTimes]) -> float:
    """Items per second between the first and the last that left, of all copies together.

    Each copy by itself, because items of several may leave at one moment, and as many as there are
    copies would be counted too much.  A copy that fewer than two left, or all at one moment, counts
    nothing.
    """
    exits_of: dict[int, list[int]] = {}
    for item in items:
        exits_of.setdefault(item.copy, []).append(item.exit_ns)
    return sum(
        (len(exits) - 1) * 1e9 / (max(exits) - min(exits))
        for exits in exits_of.values()
        if max(exits) > min(exits)
    )


def responses_of(items: Sequence[ItemTimes], *, queued: bool) -> list[int]:
    """How long each item took: from when it was there, or where items always are, from entering."""
    return [item.exit_ns - (item.ready_ns if queued else item.entry_ns) for item in items]


def percentile(values: Sequence[int], share: float) -> int | None:
    """The smallest value that ``share`` percent are at or under; ``None`` without values."""
    if not values:
        return None
    return int(np.percentile(values, share, method="inverted_cdf"))


def curve_of(values: Sequence[int]) -> tuple[int, ...]:
    """The distribution: the 0th to the 100th percentile."""
    if not values:
        return ()
    shares = np.linspace(0, 100, _CURVE)
    return tuple(int(v) for v in np.percentile(values, shares, method="inverted_cdf"))


def stages_of(repeats: Sequence[Repeat], *, queued: bool) -> tuple[StageResult, ...]:
    """Every stage of every copy, averaged over the measured items of all repeats."""
    sums: dict[tuple[int, int], list[float]] = {}
    names: dict[tuple[int, int], list[str]] = {}
    for repeat in repeats:
        ready = {(item.copy, item.number): item.ready_ns for item in repeat.items}
        begin = min((item.entry_ns for item in repeat.items), default=0)
        span = max((item.exit_ns for item in repeat.items), default=0) - begin
        for copy, stages in enumerate(repeat.stages):
            before: dict[int, int] = {}
            if queued:
                before = {number: at for (of, number), at in ready.items() if of == copy}
            for stage in stages:
                busy = wait = blocked = shared = count = 0
                departs: dict[int, int] = {}
                for record in stage.records:
                    if record.item < repeat.first_number or record.outcome:
                        continue
                    departs[record.item] = record.depart_ns
                    shared += record.wait_shared_ns
                    busy += record.finish_ns - record.start_ns - record.wait_shared_ns
                    blocked += record.depart_ns - record.finish_ns
                    wait += max(0, record.start_ns - before.get(record.item, record.start_ns))
                    count += 1
                before = departs
                place = (copy, stage.segment)
                devices = names.setdefault(place, [])
                if stage.device not in devices:
                    devices.append(stage.device)
                total = sums.setdefault(place, [0.0] * 6)
                for index, value in enumerate((count, busy, wait, blocked, shared)):
                    total[index] += value
                total[5] += min(1.0, busy / span) if span > 0 else 0.0
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
        for (copy, segment), (count, busy, wait, blocked, shared, share) in sorted(sums.items())
    )


def cpu_share_of(repeats: Sequence[Repeat]) -> float:
    """Share of all stages' busy time that is the host's CPU's."""
    cpu = busy = 0
    for repeat in repeats:
        for stages in repeat.stages:
            for stage in stages:
                for record in stage.records:
                    if record.item >= repeat.first_number and not record.outcome:
                        cpu += record.cpu_ns
                        busy += record.finish_ns - record.start_ns - record.wait_shared_ns
    return cpu / busy if busy else 0.0


def drawn_of(repeat: Repeat) -> tuple[Drawn, ...]:
    """The first measured items in every stage, for a timeline."""
    found: list[Drawn] = []
    records = [
        (copy, stage.segment, record)
        for copy, stages in enumerate(repeat.stages)
        for stage in stages
        for record in stage.records
        if repeat.first_number <= record.item < repeat.first_number + _DRAWN and not record.outcome
    ]
    start = min((record.start_ns for _, _, record in records), default=0)
    for copy, segment, record in records:
        found.append(
            Drawn(
                copy,
                segment,
                record.item - repeat.first_number,
                record.start_ns - start,
                record.finish_ns - start,
                record.depart_ns - start,
            )
        )
    return tuple(found)
