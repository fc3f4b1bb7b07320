"""Numbers of TPUs against what they achieve: as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from compiler.drawing import aligned, json_text
from partitioner.reporting.circumstances import Circumstances
from partitioner.reporting.progress import counted
from partitioner.sizing import (
    ALIKE,
    NOT_REACHED,
    LeftOut,
    PipelineCost,
    Plan,
    Recommendation,
    Sweep,
    SweepRow,
    describe,
    in_ms,
    kinds_in_words,
    per_second,
    shorthand,
)

ALONE = "latency: one item alone. CPU: the share of it that is the host's CPU's."
"""What columns of the table mean."""


@dataclass(frozen=True, kw_only=True)
class SweepReport(Circumstances):
    """A sweep on its own, without segments being written, and its circumstances."""

    sweep: Sweep
    recommendation: Recommendation
    measurements: int


def sweep_json(report: SweepReport) -> str:
    """The contents of ``sweep.json``."""
    return json_text(
        {
            "format_version": 1,
            **report.circumstances,
            "measurements": report.measurements,
            **sweep_content(report.sweep, report.recommendation),
        }
    )


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
        **({"choices_left_out": [asdict(one) for one in sweep.left_out]} if sweep.left_out else {}),
        "not_possible": {str(k): why for k, why in sorted(sweep.failures.items())},
    }


def sweep_table(sweep: Sweep) -> str:
    """One line per number of TPUs, and what its columns are.

    Of several kinds of TPUs it says which the best plan takes, and less of other things.
    """
    head = ("TPUs", "pipeline", "latency", "CPU", "copies", "latency", "best plan", "best", "gain")
    rows = [head, *map(sweep_cells, sweep.rows)]
    if _several_kinds(sweep):
        which = ["of these", *(kinds_in_words(row.best.devices, " + ") for row in sweep.rows)]
        rows = [(*row[:5], *row[6:8], these) for row, these in zip(rows, which, strict=True)]
    plan = max((row.best for row in sweep.rows), key=lambda plan: len(shorthand(plan)))
    example = f"best plan: TPUs of each pipeline; {shorthand(plan)} is {describe(plan)}."
    if _several_kinds(sweep):
        example += " of these: the TPUs it takes."
    return "\n".join([*aligned(rows), "", ALONE, example, *sweep_notes(sweep)])


def _several_kinds(sweep: Sweep) -> bool:
    """Whether it is worth saying which TPUs."""
    return list(sweep.available) != [ALIKE]


def sweep_cells(row: SweepRow) -> tuple[str, ...]:
    """What is told of a number of TPUs, in the order of the table."""
    return (
        str(row.num_devices),
        *_rate_and_latency(row.pipeline),
        cpu_share(row.pipeline),
        *_rate_and_latency(row.copies),
        shorthand(row.best),
        f"{per_second(row.best.throughput)}/s",
        "-" if row.marginal_gain is None else f"{100 * row.marginal_gain:+.0f} %",
    )


def sweep_notes(sweep: Sweep) -> list[str]:
    """What the table cannot tell: what is not in it, and what was not counted."""
    notes = []
    if _several_kinds(sweep):
        has = kinds_in_words(sweep.available)
        notes.append(f"Pipelines and copies are those on the TPUs that suit them best, of {has}.")
    if sweep.hurried:
        notes.append(
            f"Into {', '.join(map(str, sweep.hurried))} segments: the search ended with its time "
            "or measurements, and a better cut may exist."
        )
    if sweep.uneven:
        notes.append(
            f"Into {', '.join(map(str, sweep.uneven))} segments: there may be cuts as fast that "
            "are more even."
        )
    if sweep.left_out:
        notes.append(_of_those_left_out(sweep.left_out))
    reasons = sorted(sweep.failures.items())
    cut = {one.segments for one in sweep.pipelines}
    for _, group in groupby(
        reasons, key=lambda one: (one[1].replace(f"is {one[0]},", ""), one[0] in cut)
    ):
        (first, why), *others = group
        numbers = [first, *(number for number, _ in others)]
        run = numbers == list(range(first, first + len(numbers))) and others
        which = f"{first} to {numbers[-1]}" if run else ", ".join(map(str, numbers))
        one, several = ("was", "were") if why in NOT_REACHED else ("is", "are")
        what = f"segment {one}" if numbers == [1] else f"segments {several}"
        what += " not looked at" if why in NOT_REACHED else " not possible"
        if first in cut:
            what += " on every choice of TPUs"
        notes.append(f"{which} {what}: {why.rstrip('.')}.")
    if sweep.rows[-1].num_devices > 1:
        notes.append("What TPUs take from one another at a link that they share is not counted.")
    return notes


def _of_those_left_out(left_out: Sequence[LeftOut]) -> str:
    """What was not searched to the end, and why it need not be."""
    numbers = sorted({one.segments for one in left_out})
    into = ", ".join(map(str, numbers))
    return (
        f"Into {into} segments: {counted(len(left_out), 'choice')} of TPUs not searched to the "
        "end, as no cut for them is as fast as other pipelines on some of the same TPUs."
    )


def cpu_share(plan: Plan | None) -> str:
    """How much of the latency of one item is the CPU's, in percent."""
    if plan is None:
        return "-"
    cpu_ns = plan.pipeline.host_cpu_ns
    return "?" if cpu_ns is None else f"{100 * cpu_ns / max(1, plan.latency_ns):.0f} %"


def sweep_text(report: SweepReport) -> str:
    """What a user reads who only asked how many."""
    return "\n".join(
        [
            sweep_table(report.sweep),
            "",
            *advice_lines(report.recommendation),
            f"{counted(report.measurements, 'segment')} measured.",
            *(f"{name}: {text}" for name, text in report.noticed),
        ]
    )


def advice_lines(recommendation: Recommendation) -> list[str]:
    """The recommendation, and how it is run where that is not plain."""
    return list(filter(None, [recommendation.sentence, recommendation.how_to_run]))


def _rate_and_latency(plan: Plan | None) -> tuple[str, str]:
    if plan is None:
        return "-", "-"
    return f"{per_second(plan.throughput)}/s", f"{in_ms(plan.latency_ns)} ms"


def _pipeline(pipeline: PipelineCost) -> dict[str, Any]:
    content = asdict(pipeline)
    told = {"segments": content.pop("segments_in_file"), "kinds": content.pop("kinds")}
    return {**content, **{key: value for key, value in told.items() if value}}


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
