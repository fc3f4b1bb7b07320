"""How many TPUs are worth it: the table over numbers of TPUs.

A pipeline helps more than in proportion where a segment's parameters fit a chip that the whole
model's do not fit, and less where they fitted all along: every cut adds a request and a transfer.
So the smaller the model, the less it should be cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from partitioner.sizing.plans import ALIKE, PipelineCost, Plan, copies_of_whole, fastest, plans

NOT_LOOKED_AT = "the time or the measurements allowed were spent before"
STOPPED_BEFORE = "the comparison was stopped before"
NOT_REACHED = (NOT_LOOKED_AT, STOPPED_BEFORE)
"""Why there is no pipeline of so many segments that was looked for."""


@dataclass(frozen=True)
class SweepRow:
    """What ``num_devices`` TPUs can do.

    ``pipeline``: one pipeline over all of them (``None`` where the model cannot be cut so often,
    or was not found to compile); ``copies``: the whole model on each of them (``None`` where the
    uncut model does not compile); ``best``: the plan of the highest throughput, which may mix
    pipelines and leave devices over.  ``marginal_gain``: what the last TPU added to the best plan's
    throughput, relative (0.5 = half as much again); ``None`` in the first row.
    """

    num_devices: int
    pipeline: Plan | None
    copies: Plan | None
    best: Plan
    marginal_gain: float | None

    @property
    def efficiency(self) -> float:
        """Items per second per TPU of the best plan."""
        return self.best.throughput / self.num_devices


@dataclass(frozen=True)
class LeftOut:
    """TPUs, so many of each kind, that no plan makes one pipeline of.

    Whatever the cut, its bottleneck is at least ``lower_bound_ns``, with this ``probability``, and
    on some of these TPUs other pipelines are faster together.
    """

    devices: Mapping[str, int]
    lower_bound_ns: int
    probability: float

    @property
    def segments(self) -> int:
        return sum(self.devices.values())


@dataclass(frozen=True)
class Sweep:
    """All rows, by number of devices, and the pipelines they are made of, by segments.

    ``available``: how many devices there are of each kind; where all are alike, as many as wanted.
    ``failures`` tells for which numbers of segments there is no pipeline, and why.  ``host_cores``
    of the host's CPU run what does not map; ``stateful``: the model remembers earlier items.
    ``left_out``: pipelines that were not searched to the end, since no plan is faster for them.
    """

    rows: tuple[SweepRow, ...]
    pipelines: tuple[PipelineCost, ...]
    available: Mapping[str, int]
    failures: Mapping[int, str]
    host_cores: int | None = None
    stateful: bool = False
    left_out: tuple[LeftOut, ...] = ()

    @property
    def hurried(self) -> tuple[int, ...]:
        """Numbers of segments for which a faster cut may exist, as the search was ended early."""
        early = [one for one in self.pipelines if one.outcome in ("budget", "timeout")]
        return tuple(sorted({one.segments for one in early if one.segments > 1}))

    @property
    def uneven(self) -> tuple[int, ...]:
        """Numbers of segments for which a cut as fast and more even may exist."""
        return tuple(sorted({one.segments for one in self.pipelines if not one.even}))

    @property
    def finished(self) -> bool:
        """Whether every number of segments was searched to the end."""
        return not self.hurried and not set(NOT_REACHED) & set(self.failures.values())

    @property
    def among(self) -> str:
        """The order that cuts were sought in; empty if in all."""
        return next((one.among for one in self.pipelines if one.among), "")

    def plans(self) -> tuple[Plan, ...]:
        """Every plan for up to as many TPUs as were looked at."""
        most = self.rows[-1].num_devices
        return plans(self.pipelines, self.available, most, self.host_cores)

    def pipeline_of(self, segments: int) -> Plan | None:
        """The fastest pipeline of so many segments alone."""
        return _pipeline_of(self.pipelines, segments, self.host_cores)

    def copies_on(self, devices: Mapping[str, int]) -> Plan | None:
        """The whole model on each of these devices."""
        return copies_of_whole(self.pipelines, devices, sum(devices.values()), self.host_cores)


def sweep_of(
    pipelines: Sequence[PipelineCost],
    counts: Sequence[int],
    failures: Mapping[int, str] | None = None,
    *,
    available: Mapping[str, int] | None = None,
    host_cores: int | None = None,
    stateful: bool = False,
    left_out: Sequence[LeftOut] = (),
) -> Sweep:
    """The table for each number of devices in ``counts`` (ascending).

    ``available``: how many there are of each kind; ``None``: they are alike, and suffice.
    Raises ``ValueError`` when there is no plan for some of them.
    """
    rows: list[SweepRow] = []
    have = {ALIKE: max(counts)} if available is None else dict(available)
    everything = plans(pipelines, have, max(counts), host_cores)
    for count in counts:
        choices = [plan for plan in everything if plan.num_devices <= count]
        if not choices:
            raise ValueError(f"there is no plan for {count} devices")
        best = max(choices, key=fastest)
        gain = None
        if rows:
            gain = best.throughput / rows[-1].best.throughput - 1.0
        rows.append(
            SweepRow(
                num_devices=count,
                pipeline=_pipeline_of(pipelines, count, host_cores),
                copies=copies_of_whole(pipelines, have, count, host_cores),
                best=best,
                marginal_gain=gain,
            )
        )
    ordered = tuple(sorted(pipelines, key=lambda one: one.segments))
    told = dict(failures or {})
    return Sweep(tuple(rows), ordered, have, told, host_cores, stateful, tuple(left_out))


def _pipeline_of(
    pipelines: Sequence[PipelineCost], segments: int, host_cores: int | None
) -> Plan | None:
    single = [Plan((one,), host_cores) for one in pipelines if one.segments == segments]
    return max(single, key=fastest, default=None)
