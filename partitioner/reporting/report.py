"""What a user is told about a partition: a table, and everything as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from compiler.log import format_size
from partitioner.certificate import certificate_of
from partitioner.measuring import Confidence, Measurement, TrialRun
from partitioner.problem import ONLY_ORDER, Partition, Range
from partitioner.reporting.json_text import json_text
from partitioner.reporting.progress import milliseconds
from partitioner.reporting.sweep_report import sweep_content, sweep_table
from partitioner.sizing import Recommendation, Sweep

FORMAT_VERSION = 1
"""Of ``partition.json``; grows when a field changes its meaning."""


@dataclass(frozen=True)
class Report:
    """A partition and the circumstances it was found in.

    ``options`` are the command's, as used; ``devices`` names and links of those measured on;
    ``whole_model_ns`` the latency of the uncut model on one device (``None``: it does not
    compile); ``trial`` what the finished pipeline reached (``None``: there were too few devices
    to run it); ``verification`` says whether its outputs are identical to the uncut model's;
    ``files`` are the segments' executables; ``placement`` the devices that the segments are for,
    if more than one kind is there to choose from.  ``measurements`` hold what running each segment
    told, ``confidence`` how sure the choice is; ``warnings`` what was noticed about devices and
    ``lost_devices`` which died, and how.  ``sweep`` and ``recommendation`` answer how many TPUs
    are worth it, if that was asked.
    """

    model: str
    model_sha256: str
    num_operators: int
    compiler: str
    devices: tuple[Mapping[str, str], ...]
    options: Mapping[str, Any]
    partition: Partition
    whole_model_ns: int | None
    trial: TrialRun | None
    verification: str
    files: tuple[str, ...]
    placement: tuple[Mapping[str, str], ...] = ()
    measurements: tuple[Measurement, ...] = ()
    confidence: Confidence | None = None
    warnings: tuple[str, ...] = ()
    lost_devices: Mapping[str, str] = field(default_factory=dict)
    sweep: Sweep | None = None
    recommendation: Recommendation | None = None

    @property
    def throughput(self) -> float | None:
        """Items per second of the full pipeline: as run, or else as the bottleneck predicts.

        ``None`` for a bottleneck of 0 that was not run.
        """
        if self.trial is not None:
            return self.trial.throughput
        bottleneck = self.partition.bottleneck_ns
        return 1e9 / bottleneck if bottleneck else None

    @property
    def speed_up(self) -> float | None:
        """Throughput over that of the uncut model on one device."""
        if self.whole_model_ns is None or self.throughput is None:
            return None
        return self.throughput * self.whole_model_ns / 1e9


def as_json(report: Report) -> str:
    """Everything, reproducibly: the same run gives the same bytes."""
    partition = report.partition
    content = {
        "format_version": FORMAT_VERSION,
        "model": report.model,
        "model_sha256": report.model_sha256,
        "num_operators": report.num_operators,
        "num_segments": len(partition.segments),
        "compiler": report.compiler,
        "devices": [dict(device) for device in report.devices],
        "options": dict(report.options),
        "strategy": partition.strategy,
        "outcome": partition.outcome,
        "why": why(report),
        "order": partition.order,
        "execution_order": (
            None if partition.execution_order is None else list(partition.execution_order)
        ),
        "cuts": list(partition.cuts),
        "segments": [
            {
                "first": profile.segment.first,
                "end": profile.segment.end,
                "operators_in_file": _pairs(profile.segment.runs),
                "latency_ns": profile.latency_ns,
                **asdict(profile.facts),
                **_measured(report, index),
                "file": file,
            }
            for index, (profile, file) in enumerate(
                zip(partition.segments, report.files, strict=True)
            )
        ],
        "bottleneck_ns": partition.bottleneck_ns,
        "gap_ns": partition.gap_ns,
        "lower_bound_ns": partition.lower_bound_ns,
        "optimality_gap": partition.optimality_gap,
        "bytes_across_cuts": partition.bytes_across_cuts,
        "on_chip_bytes": partition.on_chip_bytes,
        "off_chip_bytes": partition.off_chip_bytes,
        "whole_model_ns": report.whole_model_ns,
        "throughput_per_second": report.throughput,
        "trial_run": None if report.trial is None else asdict(report.trial),
        "speed_up": report.speed_up,
        "compilations": partition.compilations,
        "measurements": partition.measurements,
        "compiler_runs": partition.compiler_runs,
        "guard": asdict(partition.guard),
        "confidence": None if report.confidence is None else asdict(report.confidence),
        "lost_devices": dict(report.lost_devices),
        "warnings": list(report.warnings),
        "certificate": certificate_of(partition).as_mapping(),
        "outputs_identical": report.verification,
        "how_many": (
            None if report.sweep is None else sweep_content(report.sweep, report.recommendation)
        ),
        "rounds": [asdict(entry) for entry in partition.rounds],
    }
    return json_text(content)


def _pairs(runs: Range) -> list[list[int]]:
    return [list(pair) for pair in zip(runs[::2], runs[1::2], strict=True)]


def _in_file(runs: Range) -> str:
    """``0..2 5 7..9``: operators by their numbers in the file."""
    return " ".join(
        str(first) if end == first + 1 else f"{first}..{end - 1}" for first, end in _pairs(runs)
    )


def _measured(report: Report, index: int) -> dict[str, Any]:
    """What is known of a segment beyond its latency."""
    content: dict[str, Any] = {}
    if report.placement:
        content.update(report.placement[index])
    if report.measurements:
        measured = report.measurements[index]
        content["interval_ns"] = [measured.estimate.low_ns, measured.estimate.high_ns]
        content["runs"] = len(measured.estimate.samples)
        content["parameter_load_ns"] = measured.load_ns
        content["timing"] = asdict(measured.timing)
    return content


def as_table(report: Report) -> str:
    """The segments, what the pipeline achieves, and why the search ended."""
    partition = report.partition
    where = ("device",) if report.placement else ()
    rows: list[tuple[str, ...]] = [
        ("segment", "operators", "count", "on-chip", "off-chip", "latency", *where)
    ]
    for index, profile in enumerate(partition.segments):
        segment, facts = profile.segment, profile.facts
        rows.append(
            (
                str(index),
                _in_file(segment.runs),
                str(len(segment)),
                format_size(facts.on_chip_bytes),
                format_size(facts.off_chip_bytes),
                milliseconds(profile.latency_ns),
                *([report.placement[index]["device"]] if report.placement else []),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    lines += [
        "",
        *_facts(
            [
                *_order(partition),
                ("bottleneck", milliseconds(partition.bottleneck_ns)),
                ("gap", milliseconds(partition.gap_ns)),
                ("throughput", _throughput(report)),
                ("speed-up over one TPU", _speed_up(report)),
                ("before re-cutting", _starting_split(partition)),
                ("outputs identical", report.verification),
                *_noticed(report),
            ]
        ),
        "",
        why(report),
        f"{partition.compilations} segments compiled, {partition.measurements} measured on "
        f"{_counted(len(report.devices), 'device')}, in "
        f"{_counted(len(partition.rounds), 'round')}.",
    ]
    if report.sweep is not None:
        lines += ["", sweep_table(report.sweep)]
    if report.recommendation is not None:
        lines += ["", report.recommendation.sentence]
    return "\n".join(lines)


def why(report: Report) -> str:
    """The outcome in a sentence or two."""
    partition = report.partition
    gap, bottleneck = milliseconds(partition.gap_ns), milliseconds(partition.bottleneck_ns)
    threshold = report.options.get("diff_threshold_ns", 0)
    if len(partition.segments) == 1:
        return f"Not cut: one TPU runs the whole model in {bottleneck}."
    if partition.outcome == "balanced":
        text = (
            f"Balanced: slowest minus fastest segment is {gap}, under the threshold "
            f"{milliseconds(threshold)}; --diff_threshold_ns 0 goes on to the optimum."
        )
        fastest = partition.rounds[-1].best_bottleneck_ns
        if fastest is not None and fastest < partition.bottleneck_ns:
            text += f" A less even cut with a bottleneck of {milliseconds(fastest)} was found, too."
    elif partition.outcome == "optimal":
        text = f"Optimal: no cut{_among(report)} has a bottleneck below {bottleneck}"
        if partition.least_gap_ns == partition.gap_ns:
            text += f" or, with this bottleneck, a gap below {gap}."
        else:
            least = milliseconds(partition.least_gap_ns)
            text += (
                f"; with this bottleneck, no gap below {gap} was found, and none below {least} "
                "exists."
            )
        if threshold and partition.strategy == "optimal":
            text += (
                f" The threshold {milliseconds(threshold)} cannot be met without slowing the "
                "pipeline down."
            )
    elif partition.outcome == "target":
        text = (
            f"Good enough: the bottleneck {bottleneck} is not above initial_lower_bound_ns, "
            f"{milliseconds(report.options.get('initial_lower_bound_ns'))}."
        )
    elif partition.outcome in ("budget", "timeout"):
        what = "max_measurements" if partition.outcome == "budget" else "timeout_sec"
        text = (
            f"Out of budget: {what} was spent; this is the best cut measured, and a better one may "
            "exist."
        )
    elif partition.outcome == "interval":
        text = (
            "Bisected: the latency aimed at is known to within the threshold "
            f"{milliseconds(threshold)}; nothing is proven."
        )
    elif partition.outcome == "given":
        text = f"Not searched: these are the cuts given; slowest minus fastest segment is {gap}."
    else:
        text = "Not searched: this is the split by parameter count."
    ceiling = report.options.get("initial_upper_bound_ns")
    if ceiling is not None and partition.bottleneck_ns > ceiling:
        text += f" No cut was found at or under initial_upper_bound_ns, {milliseconds(ceiling)}."
    if partition.outcome != "optimal" and partition.optimality_gap == 0.0:
        text += f" No cut{_among(report)} is faster."
    elif partition.outcome != "optimal" and partition.optimality_gap is not None:
        text += (
            f" No cut{_among(report)} is faster than {milliseconds(partition.lower_bound_ns)}, so "
            f"this one is at most {100 * partition.optimality_gap:.1f} % above the optimum."
        )
    return text


def _among(report: Report) -> str:
    """What cuts a claim is about, where it is not about all there are."""
    step = report.options.get("partition_search_step", 1)
    if step > 1:
        return f" in steps of {step} operators from the starting split"
    order = report.partition.order
    if order == ONLY_ORDER or order.startswith("all orders"):
        return ""
    return f" in {order}"


def _order(partition: Partition) -> list[tuple[str, str]]:
    """A line on the order, where that is not the file's."""
    if partition.execution_order is None:
        return []
    return [("order", "another than the file's, which the operators' numbers are of")]


def _facts(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows) + 1
    return [f"{(name + ':').ljust(width)}  {value}" for name, value in rows]


def _noticed(report: Report) -> list[tuple[str, str]]:
    """Lines on what did not go as usual."""
    rows = []
    sure = report.confidence
    if sure is not None and sure.widest > 0.0:
        rows.append(
            (
                "confidence",
                f"{100 * sure.probability:.0f} % that no cut measured is faster "
                f"(segments known to {100 * sure.widest:.1f} %, {sure.runs} runs)",
            )
        )
    rows += [("lost device", f"{name}: {how}") for name, how in report.lost_devices.items()]
    rows += [("warning", text) for text in report.warnings]
    return rows


def _throughput(report: Report) -> str:
    if report.throughput is None:
        return "unlimited"
    how = "predicted" if report.trial is None else f"{report.trial.items} items run"
    return f"{report.throughput:.1f} inferences/s ({how})"


def _speed_up(report: Report) -> str:
    if report.speed_up is None:
        return "unknown, the uncut model does not compile"
    alone = milliseconds(report.whole_model_ns)
    return f"{report.speed_up:.2f}x (one TPU takes {alone} per inference)"


def _starting_split(partition: Partition) -> str:
    start = partition.rounds[0]
    if start.bottleneck_ns is None or start.gap_ns is None:
        return "a segment did not compile"
    return f"bottleneck {milliseconds(start.bottleneck_ns)}, gap {milliseconds(start.gap_ns)}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
