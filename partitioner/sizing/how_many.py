"""How many TPUs are worth it, and whether to cut at all: pure arithmetic on measured pipelines.

A *plan* for ``N`` devices is ``r`` copies of a pipeline of ``k`` segments, ``k * r <= N``::

    k = 1   copies of the whole model (data parallelism): the latency of one TPU, r times its rate
    r = 1   one pipeline: one item per bottleneck, and as long as all its segments take together
    else    both

Copies always help in proportion.  A pipeline helps more than that where a segment's parameters
fit a chip that the whole model's do not fit, and less where they fitted all along: every cut adds
a request and a transfer.  So the smaller the model, the less it should be cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EFFICIENCY_MARGIN = 0.02
"""Throughput per TPU that ``recommend`` gives up for needing fewer of them (2 %)."""


@dataclass(frozen=True)
class PipelineCost:
    """The best cut into one number of segments: its operators' ends and its segments' times.

    ``segments_in_file``: their operators as runs in the file, where cut in another order.
    """

    cuts: tuple[int, ...]
    latencies_ns: tuple[int, ...]
    outcome: str = "optimal"
    off_chip_bytes: int = 0
    segments_in_file: tuple[tuple[int, ...], ...] = ()

    @property
    def segments(self) -> int:
        return len(self.latencies_ns)

    @property
    def bottleneck_ns(self) -> int:
        return max(self.latencies_ns)

    @property
    def latency_ns(self) -> int:
        """One item through the empty pipeline: the sum of the stages."""
        return sum(self.latencies_ns)


@dataclass(frozen=True)
class Plan:
    """``copies`` pipelines side by side, each over as many devices as it has segments."""

    pipeline: PipelineCost
    copies: int

    @property
    def segments(self) -> int:
        return self.pipeline.segments

    @property
    def num_devices(self) -> int:
        """Devices in use."""
        return self.segments * self.copies

    @property
    def throughput(self) -> float:
        """Items per second with every pipeline kept busy."""
        return self.copies * 1e9 / max(1, self.pipeline.bottleneck_ns)

    @property
    def latency_ns(self) -> int:
        """One item through an idle plan, in nanoseconds."""
        return self.pipeline.latency_ns


@dataclass(frozen=True)
class SweepRow:
    """What ``num_devices`` TPUs can do.

    ``pipeline``: one pipeline over all of them (``None`` where the model cannot be cut so often,
    or was not found to compile); ``copies``: the whole model on each of them (``None`` where the
    uncut model does not compile); ``best``: the plan of the highest throughput, which may mix
    both and leave devices over.  ``marginal_gain``: what the last TPU added to the best plan's
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
class Sweep:
    """All rows, by number of devices, and the pipelines they are made of, by segments.

    ``failures`` tells for which numbers of segments there is no pipeline, and why.
    """

    rows: tuple[SweepRow, ...]
    pipelines: Mapping[int, PipelineCost]
    failures: Mapping[int, str]


@dataclass(frozen=True)
class Target:
    """What is asked of a plan: at least so many items per second, at most so much latency."""

    fps: float | None = None
    latency_ns: int | None = None

    def met_by(self, plan: Plan) -> bool:
        return (self.fps is None or plan.throughput >= self.fps) and (
            self.latency_ns is None or plan.latency_ns <= self.latency_ns
        )

    @property
    def given(self) -> bool:
        return self.fps is not None or self.latency_ns is not None


@dataclass(frozen=True)
class Recommendation:
    """The plan to build, whether it meets what was asked, and why it is the one, in words."""

    plan: Plan
    met: bool
    sentence: str


def plans(pipelines: Mapping[int, PipelineCost], num_devices: int) -> tuple[Plan, ...]:
    """Every plan for up to ``num_devices`` devices."""
    return tuple(
        Plan(pipeline, copies)
        for _, pipeline in sorted(pipelines.items())
        for copies in range(1, num_devices // pipeline.segments + 1)
    )


def sweep_of(
    pipelines: Mapping[int, PipelineCost],
    counts: Sequence[int],
    failures: Mapping[int, str] | None = None,
) -> Sweep:
    """The table for each number of devices in ``counts`` (ascending).

    Raises ``ValueError`` when there is no plan for some of them.
    """
    rows: list[SweepRow] = []
    for count in counts:
        choices = plans(pipelines, count)
        if not choices:
            raise ValueError(f"there is no plan for {count} devices")
        single, whole = pipelines.get(count), pipelines.get(1)
        best = max(choices, key=_fastest)
        gain = None
        if rows:
            gain = best.throughput / rows[-1].best.throughput - 1.0
        rows.append(
            SweepRow(
                num_devices=count,
                pipeline=None if single is None else Plan(single, 1),
                copies=None if whole is None else Plan(whole, count),
                best=best,
                marginal_gain=gain,
            )
        )
    return Sweep(tuple(rows), dict(pipelines), dict(failures or {}))


def recommend(sweep: Sweep, target: Target) -> Recommendation:
    """The plan to build.

    With a target: the fewest devices that meet it, of plans for equally many the fastest.  If no
    plan does, the one that comes closest (the fastest within the latency allowed, or else the one
    of the lowest latency), and ``met`` is false.  Without a target: the fewest devices whose
    throughput per TPU is within 2 % of the best there is, since more TPUs of the same efficiency
    are had by copying the plan.
    """
    most = sweep.rows[-1].num_devices
    least = sweep.rows[0].num_devices
    choices = [p for p in plans(sweep.pipelines, most) if p.num_devices >= least]
    if not choices:  # what can be built leaves devices over
        choices = list(plans(sweep.pipelines, most))
    if not target.given:
        best = max(plan.throughput / plan.num_devices for plan in choices)
        good = [
            p for p in choices if p.throughput / p.num_devices >= (1.0 - EFFICIENCY_MARGIN) * best
        ]
        plan = max(good, key=lambda p: (-p.num_devices, *_fastest(p)))
        reason = (
            "no other number of TPUs up to "
            f"{most} gives over {100 * EFFICIENCY_MARGIN:g} % more throughput per TPU"
        )
        return Recommendation(plan, True, _sentence(sweep, plan, reason))
    meeting = [plan for plan in choices if target.met_by(plan)]
    if meeting:
        plan = max(meeting, key=lambda p: (-p.num_devices, *_fastest(p)))
        reason = f"the fewest TPUs that reach {_wish(target)}"
        return Recommendation(plan, True, _sentence(sweep, plan, reason))
    quick = [p for p in choices if target.latency_ns is None or p.latency_ns <= target.latency_ns]
    plan = max(quick, key=_fastest) if quick else min(choices, key=lambda p: p.latency_ns)
    reason = f"no plan for up to {most} TPUs reaches {_wish(target)}; this one comes closest"
    return Recommendation(plan, False, _sentence(sweep, plan, reason))


def describe(plan: Plan) -> str:
    """``3 copies of the whole model``, ``a pipeline of 4 segments``, ``2 copies of ...``."""
    if plan.segments == 1:
        return "the whole model" if plan.copies == 1 else f"{plan.copies} copies of the whole model"
    pipeline = f"a pipeline of {plan.segments} segments"
    return pipeline if plan.copies == 1 else f"{plan.copies} copies of {pipeline}"


def _fastest(plan: Plan) -> tuple[float, int, int]:
    """Order of preference: throughput, then low latency, then few devices."""
    return plan.throughput, -plan.latency_ns, -plan.num_devices


def _wish(target: Target) -> str:
    wishes = []
    if target.fps is not None:
        wishes.append(f"{target.fps:g} inferences/s")
    if target.latency_ns is not None:
        wishes.append(f"a latency of {target.latency_ns / 1e6:g} ms")
    return " and ".join(wishes)


def _sentence(sweep: Sweep, plan: Plan, reason: str) -> str:
    tpus = "1 TPU" if plan.num_devices == 1 else f"{plan.num_devices} TPUs"
    text = (
        f"{tpus}, {describe(plan)}: {plan.throughput:.1f} inferences/s at "
        f"{plan.latency_ns / 1e6:.2f} ms ({reason})."
    )
    return f"{text} {_comparison(sweep, plan)}".rstrip()


def _comparison(sweep: Sweep, plan: Plan) -> str:
    """Cutting against copying, for as many devices as the plan has."""
    whole = sweep.pipelines.get(1)
    if whole is None:
        return "The uncut model does not compile, so there is nothing to copy."
    if plan.segments > 1:
        copied = Plan(whole, plan.num_devices)
        factor = plan.throughput / copied.throughput
        verb = "Cutting pays" if factor > 1.0 else "Copying would give more"
        return (
            f"{verb}: {describe(copied)} would give {copied.throughput:.1f} inferences/s, so the "
            f"pipeline is {factor:.2f} times as fast on the same TPUs."
        )
    count = plan.num_devices if plan.num_devices > 1 else 2
    pipeline = sweep.pipelines.get(count)
    if pipeline is None:
        return "Do not cut this model."
    copied, single = Plan(whole, count), Plan(pipeline, 1)
    if single.throughput >= copied.throughput:
        return ""
    return (
        f"Do not cut this model: on {count} TPUs, {describe(copied)} give "
        f"{copied.throughput:.1f} inferences/s, {describe(single)} {single.throughput:.1f}."
    )
