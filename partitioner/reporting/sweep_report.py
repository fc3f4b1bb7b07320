"""Numbers of TPUs against what they achieve: as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from compiler.drawing import aligned, json_text
from devices.simulated import model_error
from partitioner.sizing import (
    ALIKE,
    NOT_LOOKED_AT,
    PipelineCost,
    Plan,
    Recommendation,
    Sweep,
    describe,
    kinds_in_words,
    shorthand,
)


@dataclass(frozen=True)
class SweepReport:
    """A sweep on its own, without segments being written, and its circumstances."""

    model: str
    model_sha256: str
    compiler: str
    devices: tuple[Mapping[str, str | int | float], ...]
    options: Mapping[str, Any]
    sweep: Sweep
    recommendation: Recommendation
    measurements: int
    warnings: tuple[str, ...] = ()
    lost_devices: Mapping[str, str] | None = None


def sweep_json(report: SweepReport) -> str:
    """The contents of ``sweep.json``."""
    content = {
        "format_version": 1,
        "model": report.model,
        "model_sha256": report.model_sha256,
        "compiler": report.compiler,
        "devices": [dict(device) for device in report.devices],
        "model_error": model_error(report.devices),
        "options": dict(report.options),
        "measurements": report.measurements,
        "lost_devices": dict(report.lost_devices or {}),
        "warnings": list(report.warnings),
        **sweep_content(report.sweep, report.recommendation),
    }
    return json_text(content)


def sweep_content(sweep: Sweep, recommendation: Recommendation | None) -> dict[str, Any]:
    """Rows, pipelines and the recommendation as JSON knows them."""
    return {
        "recommendation": None
        if recommendation is None
        else {
            **_plan(recommendation.plan),
            "target_met": recommendation.met,
            "margin": recommendation.target.margin if recommendation.target.given else None,
            "sentence": recommendation.sentence,
            "how_to_run": recommendation.how_to_run,
        },
        "host_cores": sweep.host_cores,
        "by_num_devices": [
            {
                "num_devices": row.num_devices,
                "pipeline": None if row.pipeline is None else _plan(row.pipeline),
                "copies": None if row.copies is None else _plan(row.copies),
                "best": _plan(row.best),
                "marginal_gain": row.marginal_gain,
                "throughput_per_device": row.efficiency,
            }
            for row in sweep.rows
        ],
        "cuts_by_num_segments": {
            str(segments): _pipeline(fastest.pipeline)
            for segments in sorted({one.segments for one in sweep.pipelines})
            if (fastest := sweep.pipeline_of(segments)) is not None
        },
        **(
            {"cuts_by_kinds": [_pipeline(one) for one in sweep.pipelines]}
            if _several_kinds(sweep)
            else {}
        ),
        "not_possible": {str(k): why for k, why in sorted(sweep.failures.items())},
    }


def sweep_table(sweep: Sweep) -> str:
    """One line per number of TPUs, and what its columns are.

    Of several kinds of TPUs it says which the best plan takes, and less of other things.
    """
    several = _several_kinds(sweep)
    ending = ("best plan", "best")
    heads = ("latency", *ending, "gain") if not several else (*ending, "of these")
    rows: list[tuple[str, ...]] = [("TPUs", "pipeline", "latency", "CPU", "copies", *heads)]
    for row in sweep.rows:
        copies, latency = _rate_and_latency(row.copies)
        best = shorthand(row.best), f"{row.best.throughput:.1f}/s"
        gain = "-" if row.marginal_gain is None else f"{100 * row.marginal_gain:+.0f} %"
        which = kinds_in_words(row.best.devices, " + ")
        rows.append(
            (
                str(row.num_devices),
                *_rate_and_latency(row.pipeline),
                cpu_share(row.pipeline),
                copies,
                *((*best, which) if several else (latency, *best, gain)),
            )
        )
    lines = aligned(rows)
    lines += [
        "",
        "latency: one item alone. CPU: the share of it that is the host's CPU's.",
        f"best plan: TPUs of each pipeline; {_example(sweep)}.",
    ]
    if several:
        has = kinds_in_words(sweep.available)
        lines.append(
            f"of these: the TPUs that the best plan takes, of the {has} there are. Pipelines and "
            "copies are those on the TPUs that suit them best."
        )
    hurried = sorted(
        {one.segments for one in sweep.pipelines if one.outcome in ("budget", "timeout")}
    )
    if hurried:
        lines.append(
            f"Into {', '.join(map(str, hurried))} segments: the search ended with its time or "
            "measurements, and a better cut may exist."
        )
    return "\n".join(lines + _missing(sweep))


def _several_kinds(sweep: Sweep) -> bool:
    """Whether it is worth saying which TPUs."""
    return list(sweep.available) != [ALIKE]


def _missing(sweep: Sweep) -> list[str]:
    """For which numbers of segments there is no pipeline; those for one reason together."""
    lines = []
    reasons = sorted(sweep.failures.items())
    cut = {one.segments for one in sweep.pipelines}
    for _, group in groupby(
        reasons, key=lambda one: (one[1].replace(f"is {one[0]},", ""), one[0] in cut)
    ):
        (first, why), *others = group
        last = others[-1][0] if others else first
        apart = last - first > len(others)
        numbers = [first, *(number for number, _ in others)]
        which = f"{first} to {last}" if others and not apart else ", ".join(map(str, numbers))
        what = "were not looked at" if why == NOT_LOOKED_AT else "are not possible"
        if first in cut:
            what += " on every choice of TPUs"
        lines.append(f"{which} segments {what}: {why}")
    return lines


def _example(sweep: Sweep) -> str:
    """The most intricate of the plans in the table, in short and in words."""
    plan = max((row.best for row in sweep.rows), key=lambda plan: len(shorthand(plan)))
    return f"{shorthand(plan)} is {describe(plan)}"


def cpu_share(plan: Plan | None) -> str:
    """How much of the latency of one item is the CPU's, in percent."""
    if plan is None:
        return "-"
    cpu_ns = plan.pipeline.host_cpu_ns
    return "?" if cpu_ns is None else f"{100 * cpu_ns / max(1, plan.latency_ns):.0f} %"


def sweep_text(report: SweepReport) -> str:
    """What a user reads who only asked how many."""
    noticed: Sequence[str] = [
        *(f"lost device {name}: {how}" for name, how in (report.lost_devices or {}).items()),
        *(f"warning: {text}" for text in report.warnings),
    ]
    return "\n".join(
        [
            sweep_table(report.sweep),
            "",
            *advice_lines(report.recommendation),
            f"{report.measurements} segments measured.",
            *_real_devices(report),
            *noticed,
        ]
    )


def advice_lines(recommendation: Recommendation) -> list[str]:
    """The recommendation, and how it is run where that is not plain."""
    return list(filter(None, [recommendation.sentence, recommendation.how_to_run]))


def _real_devices(report: SweepReport) -> list[str]:
    known = model_error(report.devices)
    return [f"devices: {known}"] if known else []


def _rate_and_latency(plan: Plan | None) -> tuple[str, str]:
    if plan is None:
        return "-", "-"
    return f"{plan.throughput:.1f}/s", f"{plan.latency_ns / 1e6:.2f} ms"


def _plan(plan: Plan) -> dict[str, Any]:
    (first, number), *others = plan.copies_of_each
    return {
        "num_devices": plan.num_devices,
        "pipelines": [
            {
                "segments": one.segments,
                "copies": copies,
                **({"kinds": list(one.kinds)} if one.kinds else {}),
            }
            for one, copies in plan.copies_of_each
        ],
        "segments": None if others else first.segments,
        "copies": None if others else number,
        "throughput_per_second": plan.throughput,
        "limited_by_host_cpu": plan.limited_by_cpu,
        "latency_ns": plan.latency_ns,
    }


def _pipeline(pipeline: PipelineCost) -> dict[str, Any]:
    in_file = [list(runs) for runs in pipeline.segments_in_file]
    return {
        "cuts": list(pipeline.cuts),
        **({"segments": in_file} if in_file else {}),
        **({"kinds": list(pipeline.kinds)} if pipeline.kinds else {}),
        "latencies_ns": list(pipeline.latencies_ns),
        "cpu_ns": list(pipeline.cpu_ns),
        "cpu_operators": list(pipeline.cpu_operators),
        "off_chip_bytes": pipeline.off_chip_bytes,
    }
