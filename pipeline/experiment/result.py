"""What is kept of a point: one flat record, the same in memory and in ``points.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pipeline.describing import UNPACED, Goal, Point
from pipeline.experiment.cuts import SegmentedModel
from pipeline.experiment.history import Course, courses_of, joules_of, pace_of
from pipeline.experiment.metrics import (
    PERCENTILES,
    Drawn,
    StageResult,
    cpu_share_of,
    curve_of,
    drawn_of,
    interval_of,
    percentile,
    responses_of,
    stages_of,
    throughput_of,
)
from pipeline.experiment.times import Repeat

VALID, INVALID = "VALID", "INVALID"

_MOST_OVERRUNS = 0.01
"""Share of inferences for which this machine may be too slow before times are not the device's."""


@dataclass(frozen=True)
class RunResult:
    """One point.  All times are on the devices' ``clock``: virtual, or of this machine's wall.

    ``throughput_per_s`` is the mean over repeats of items leaving per second, between the first
    and the last; ``throughput_low_per_s`` to ``throughput_high_per_s`` its 95 % confidence
    interval (``None`` for one repeat).  ``speed_up`` compares it with the point of one segment and
    copy that is equal otherwise (``None`` where there is none, or items come at a rate).
    ``response_*_ns`` is the time from when an item was there to its end; where the next item is
    always there (saturated arrivals) from entering the first stage.  ``latency_*_ns`` is from
    entering to the end in any case, and
    ``latency_alone_ns`` with nothing else under way.  ``stage_latency_ns`` is the mean latency of
    each stage, ``throughputs_per_s`` and ``responses_*_ns`` figures of every repeat,
    ``off_chip_bytes`` what each streams at every inference.  ``overruns`` counts
    inferences on the realtime clock for which the host was too slow.  ``lost`` items never came
    out, ``failed`` ones came out as errors, ``replayed`` ones were computed again, ``late`` ones
    had a response time above the deadline (``None`` where there is none).
    ``model_factor`` (virtual clock only) says how far off the device model is: four of five real
    latencies lie within the figure divided and multiplied by it.
    ``joules_per_inference`` is the energy of the devices per item that came out, idling included,
    ``inferences_per_joule`` its inverse; the limits hold what is not known of powers and, on the
    virtual clock, the model's error.  ``courses`` are what devices with heat or a changing clock
    went through in the first repeat, ``pace_per_s`` the items leaving then, each over the stretch
    up to its ``pace_at_ns``.  ``verdict`` is ``VALID`` or
    ``INVALID``, with ``why`` (also where it is ``VALID`` by less than the model's error); ``None``
    where there is no goal and nothing broke.
    """

    point: int
    key: str
    varied: dict[str, str]
    model: str
    segments: int
    copies: int
    queue_size: int
    partition: str
    hosts: str
    clock: str
    inferences: int
    repeats: int
    operators: tuple[int, ...]
    devices: tuple[str, ...]
    cut_outcome: str
    throughput_per_s: float
    throughput_low_per_s: float | None
    throughput_high_per_s: float | None
    speed_up: float | None
    response_p50_ns: int | None
    response_p90_ns: int | None
    response_p95_ns: int | None
    response_p99_ns: int | None
    response_max_ns: int | None
    latency_p50_ns: int | None
    latency_p99_ns: int | None
    latency_alone_ns: int | None
    stage_latency_ns: tuple[int, ...]
    bottleneck_ns: int
    gap_ns: int
    cpu_share: float
    on_chip_bytes: tuple[int, ...]
    off_chip_bytes: tuple[int, ...]
    overruns: int
    lost: int
    failed: int
    replayed: int
    late: int | None
    model_factor: float | None
    joules_per_inference: float | None
    joules_per_inference_low: float | None
    joules_per_inference_high: float | None
    inferences_per_joule: float | None
    verdict: str | None
    why: tuple[str, ...]
    throughputs_per_s: tuple[float, ...]
    responses_p50_ns: tuple[int, ...]
    responses_p99_ns: tuple[int, ...]
    stages: tuple[StageResult, ...]
    response_curve_ns: tuple[int, ...]
    drawn: tuple[Drawn, ...]
    courses: tuple[Course, ...]
    pace_at_ns: tuple[int, ...]
    pace_per_s: tuple[float, ...]
    config: dict[str, Any]

    @property
    def paced(self) -> bool:
        """Whether items came at times of their own."""
        return self.config["arrivals"]["kind"] not in UNPACED

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> RunResult:
        """What :meth:`as_dict` gave, also after JSON.  Raises ``TypeError`` for anything else."""
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        plain["stages"] = tuple(StageResult(**one) for one in values["stages"])
        plain["drawn"] = tuple(Drawn(**one) for one in values["drawn"])
        plain["courses"] = tuple(Course.from_dict(one) for one in values["courses"])
        return RunResult(**plain)


def evaluate(
    index: int,
    point: Point,
    cut: SegmentedModel,
    devices: tuple[str, ...],
    outcome: str,
    repeats: Sequence[Repeat],
) -> RunResult:
    """The figures of a point from all of its repeats."""
    experiment = point.experiment
    queued = experiment.arrivals.kind != "saturated"
    limit_ns = experiment.deadline_ns
    responses = np.concatenate([responses_of(one.items, queued=queued) for one in repeats])
    latencies = np.concatenate([responses_of(one.items, queued=False) for one in repeats])
    alone = [latency for repeat in repeats for latency in repeat.alone_ns]
    rates = [throughput_of(repeat.items) for repeat in repeats]
    low, high = interval_of(rates)
    known = len(rates) > 1
    stages = stages_of(repeats, queued=queued)
    means = tuple(stage.latency_ns for stage in stages)
    configs = point.pool.devices
    virtual = configs[0].clock == "virtual"
    factor = 1 + max(c.attached_to.spread for c in configs) if virtual else None
    joules = joules_of(repeats, point.pool)
    courses = courses_of(repeats[0], point.pool)
    pace = pace_of(repeats[0].items) if courses else ()
    lost = sum(repeat.wanted - len(repeat.items) - repeat.failed for repeat in repeats)
    result = RunResult(
        point=index,
        key=point.key,
        varied=point.varied,
        model=experiment.models,
        segments=experiment.segments,
        copies=experiment.copies,
        queue_size=experiment.queue_size,
        partition=experiment.partition,
        hosts=", ".join(dict.fromkeys(config.host for config in configs)),
        clock=configs[0].clock,
        inferences=repeats[0].wanted,
        repeats=len(repeats),
        operators=cut.operators,
        devices=devices,
        cut_outcome=outcome,
        throughput_per_s=sum(rates) / len(rates),
        throughput_low_per_s=max(0.0, low) if known else None,
        throughput_high_per_s=high if known else None,
        speed_up=None,
        **{f"response_p{share}_ns": percentile(responses, share) for share in PERCENTILES},
        response_max_ns=int(responses.max()) if len(responses) else None,
        latency_p50_ns=percentile(latencies, 50),
        latency_p99_ns=percentile(latencies, 99),
        latency_alone_ns=percentile(alone, 50),
        stage_latency_ns=means,
        bottleneck_ns=max(means, default=0),
        gap_ns=max(means, default=0) - min(means, default=0),
        cpu_share=cpu_share_of(repeats),
        on_chip_bytes=cut.on_chip_bytes,
        off_chip_bytes=cut.off_chip_bytes,
        overruns=sum(repeat.overruns for repeat in repeats),
        lost=lost,
        failed=sum(repeat.failed for repeat in repeats),
        replayed=sum(repeat.replayed for repeat in repeats),
        late=None if limit_ns is None else int((responses > limit_ns).sum()),
        model_factor=factor,
        joules_per_inference=joules.likely if joules else None,
        joules_per_inference_low=joules.low / (factor or 1) if joules else None,
        joules_per_inference_high=joules.high * (factor or 1) if joules else None,
        inferences_per_joule=1 / joules.likely if joules and joules.likely else None,
        verdict=None,
        why=(),
        throughputs_per_s=tuple(rates),
        responses_p50_ns=_by_repeat(repeats, 50, queued=queued),
        responses_p99_ns=_by_repeat(repeats, 99, queued=queued),
        stages=stages,
        response_curve_ns=curve_of(responses),
        drawn=drawn_of(repeats[0]),
        courses=courses,
        pace_at_ns=tuple(at_ns for at_ns, _ in pace),
        pace_per_s=tuple(per_s for _, per_s in pace),
        config=point.resolved,
    )
    return _judged(result, point, repeats)


def _by_repeat(repeats: Sequence[Repeat], share: int, *, queued: bool) -> tuple[int, ...]:
    """A percentile of the response time of every repeat that any item came out of."""
    found = (percentile(responses_of(one.items, queued=queued), share) for one in repeats)
    return tuple(one for one in found if one is not None)


def _judged(result: RunResult, point: Point, repeats: Sequence[Repeat]) -> RunResult:
    """The result with its verdict.

    Besides a goal missed, a point is INVALID that broke, lost items, or under a rate served less
    than arrived (its queue grows without end, so its response time says nothing).
    """
    broken = list(dict.fromkeys(repeat.broken for repeat in repeats if repeat.broken))
    why = broken[:]
    if result.lost and not broken:
        why.append(f"{result.lost} items never came out")
    goals = point.experiment.parsed_goals
    inferences = sum(len(repeat.items) for repeat in repeats) * len(result.operators) or 1
    if goals and result.overruns > _MOST_OVERRUNS * inferences:
        why.append(
            f"{result.overruns} of {inferences} inferences took this machine longer than the "
            "device is meant to"
        )
    figures = result.as_dict()
    items = sum(len(repeat.items) for repeat in repeats)
    for goal in goals:
        tail = {"response_p90_ns": 10, "response_p95_ns": 20, "response_p99_ns": 100}
        if items < tail.get(goal.figure, 0):
            why.append(f"{goal.text}: {items} items are too few to tell; measure more inferences")
    why += [text for goal in goals if (text := goal.missed(figures)) is not None]
    if goals and (text := _overloaded(repeats, point)) is not None:
        why.append(text)
    verdict = (INVALID if why else VALID) if goals or why else None
    if verdict == VALID and result.model_factor is not None:
        near = [
            goal.near(figures, result.model_factor) for goal in goals if not _given(goal, point)
        ]
        why += [text for text in near if text is not None]
        busiest = max((stage.utilization for stage in result.stages), default=0.0)
        if point.experiment.paced and busiest * result.model_factor > 1:
            why.append(
                f"a device is busy {100 * busiest:.0f} % of the time, so near its limit that the "
                f"device model (off by a factor {result.model_factor:.2f}) cannot promise that the "
                "queue does not grow"
            )
    return replace(result, verdict=verdict, why=tuple(why))


def _given(goal: Goal, point: Point) -> bool:
    """Whether a figure does not follow from the devices: what leaves is what comes."""
    return goal.figure == "throughput_per_s" and point.experiment.paced


def _overloaded(repeats: Sequence[Repeat], point: Point) -> str | None:
    """Whether a queue grew: the last tenth waits far longer than the first half ever did."""
    if not point.experiment.paced:
        return None
    for repeat in repeats:
        items = repeat.items
        if len(items) < 20:
            continue
        waits = items.entry_ns - items.ready_ns
        half, tenth = waits[: len(waits) // 2], waits[-len(waits) // 10 :]
        arrived = int(items.ready_ns[-1] - items.ready_ns[0]) or 1
        left = int(items.exit_ns[-1] - items.exit_ns[0])
        if tenth.min() > half.max() and left > 1.05 * arrived:
            share = 100 * arrived / left
            return f"items come faster than they are served ({share:.0f} %), so the queue grows"
    return None


def with_speed_ups(results: Sequence[RunResult]) -> tuple[RunResult, ...]:
    """The results with their speed-up over the point of one device that is equal otherwise."""
    alone: dict[str, float] = {}
    for one in results:
        if one.segments == one.copies == 1:
            alone.setdefault(_otherwise(one), one.throughput_per_s)
    return tuple(
        replace(
            one,
            speed_up=one.throughput_per_s / base
            if (base := alone.get(_otherwise(one))) and not one.paced
            else None,
        )
        for one in results
    )


def _otherwise(result: RunResult) -> str:
    """All that was varied but the number of devices, and what that decides."""
    left_out = ("segments", "copies", "pool.devices")
    return repr([(path, label) for path, label in result.varied.items() if path not in left_out])
