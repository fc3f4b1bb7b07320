"""A partition as a table in text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from compiler.drawing import aligned
from compiler.log import format_size
from partitioner.problem import Partition, Range, pairs_of
from partitioner.reporting.cpu_work import cpu_cell, cpu_sentence
from partitioner.reporting.progress import counted, milliseconds
from partitioner.reporting.report import Report
from partitioner.reporting.sweep_report import advice_lines, sweep_table
from partitioner.sizing import per_second

_WIDTH = 80
"""Columns of a terminal as it comes."""

_FEWEST_COLUMNS = 9
"""For operators, which are many numbers where branches run in another order."""


def as_table(report: Report) -> str:
    """The segments, what the pipeline achieves, and why the search ended."""
    partition = report.partition
    cpu = cpu_sentence(report)
    lines = [
        *_segments(report),
        "",
        *_facts(
            [
                *_order(partition),
                *([("host CPU", cpu)] if cpu else []),
                ("bottleneck", milliseconds(report.claims.bottleneck_ns)),
                ("gap", milliseconds(report.claims.gap_ns)),
                ("throughput", _throughput(report)),
                ("speed-up over one TPU", _speed_up(report)),
                (_first_cut(report), _starting_split(partition)),
                ("outputs identical", report.verification),
                *report.noticed,
            ]
        ),
        "",
        report.why,
        f"{counted(partition.compilations, 'segment')} compiled, {partition.measurements} "
        f"measured on {counted(len(report.devices), 'device')}, in "
        f"{counted(len(partition.rounds), 'round')}.",
    ]
    if report.sweep is not None:
        lines += ["", sweep_table(report.sweep)]
    if report.recommendation is not None:
        lines += ["", *advice_lines(report.recommendation)]
    return "\n".join(lines)


def _segments(report: Report) -> list[str]:
    """A line for each segment; operators that do not fit beside the rest go on below."""
    devices = [place["device"] for place in report.placement]
    rows: list[tuple[str, ...]] = [
        ("on-chip", "off-chip", "latency", "on the CPU", *(["device"] if devices else []))
    ]
    for index, profile in enumerate(report.partition.segments):
        facts = profile.facts
        rows.append(
            (
                format_size(facts.on_chip_bytes),
                format_size(facts.off_chip_bytes),
                milliseconds(profile.latency_ns),
                cpu_cell(profile),
                *devices[index : index + 1],
            )
        )
    head, *rest = aligned(rows)
    room = max(_FEWEST_COLUMNS, _WIDTH - len("segment") - len(head) - 4)
    lines = [("segment", "operators", head)]
    for index, (profile, text) in enumerate(zip(report.partition.segments, rest, strict=True)):
        first, *more = textwrap.wrap(_in_file(profile.runs), room)
        lines.append((str(index), first, text))
        lines += [("", line, " " * len(head)) for line in more]
    return [line.rstrip() for line in aligned(lines)]


def _in_file(runs: Range) -> str:
    """``0..2 5 7..9``: operators in the order of the file."""
    return " ".join(
        str(first) if end == first + 1 else f"{first}..{end - 1}" for first, end in pairs_of(runs)
    )


def _order(partition: Partition) -> list[tuple[str, str]]:
    """A line on the order, where that is not the file's."""
    if partition.execution_order is None:
        return []
    return [("order", "another than the file's, which the operators' numbers are of")]


def _facts(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows) + 1
    lines: list[str] = []
    for name, value in rows:
        text = f"{(name + ':').ljust(width)}  {value}"
        lines += textwrap.wrap(
            text,
            _WIDTH,
            subsequent_indent=" " * (width + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _throughput(report: Report) -> str:
    rate = report.claims.throughput_per_second
    if rate is None:
        return "unlimited"
    how = "predicted" if report.trial is None else f"{report.trial.items} items run"
    return f"{per_second(rate)} inferences/s ({how})"


def _speed_up(report: Report) -> str:
    if report.claims.whole_model_ns is None:
        failed = ((0, report.claims.num_operators), None) in report.partition.measured
        return f"unknown, the uncut model {'does not compile' if failed else 'was not measured'}"
    if report.claims.speed_up is None:
        return "unknown, the slowest segment takes less than 1 ns"
    alone = milliseconds(report.claims.whole_model_ns)
    return f"{report.claims.speed_up:.2f}x (one TPU takes {alone} per inference)"


def _first_cut(report: Report) -> str:
    """What the cut measured first is: one that constants suggested, or the split by parameters."""
    suggested = report.options.get("first_cut") not in (None, "parameter-count")
    return "first cut suggested" if suggested else "before re-cutting"


def _starting_split(partition: Partition) -> str:
    start = partition.rounds[0]
    if start.bottleneck_ns is None or start.gap_ns is None:
        return "a segment did not compile"
    return f"bottleneck {milliseconds(start.bottleneck_ns)}, gap {milliseconds(start.gap_ns)}"
