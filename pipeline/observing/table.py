"""Statistics as text for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_Row = Mapping[str, Any]

_COLUMNS: tuple[tuple[str, Callable[[_Row], str]], ...] = (
    ("segment", lambda stage: str(stage["segment"])),
    ("device", lambda stage: str(stage["device"])),
    ("items", lambda stage: str(stage["items"])),
    ("mean ms", lambda stage: _ms(stage["latency_mean_ns"])),
    ("p50 ms", lambda stage: _ms(stage["latency_p50_ns"])),
    ("p99 ms", lambda stage: _ms(stage["latency_p99_ns"])),
    ("busy", lambda stage: f"{stage['utilization']:.0%}"),
    ("wait in ms", lambda stage: _ms(stage["counters"]["wait_input_ns"])),
    ("wait out ms", lambda stage: _ms(stage["counters"]["wait_output_ns"])),
    ("MB in", lambda stage: _mb(stage["counters"]["input_bytes"])),
    ("MB out", lambda stage: _mb(stage["counters"]["output_bytes"])),
    ("failed", lambda stage: str(stage["counters"]["failed_items"])),
    ("overruns", lambda stage: str(stage["counters"]["overruns"])),
)

_PROCESS_COLUMNS: tuple[tuple[str, Callable[[_Row], str]], ...] = (
    ("process", lambda use: str(use["name"])),
    ("pid", lambda use: str(use["pid"])),
    ("memory MB", lambda use: _mb(use["rss_bytes"])),
    ("CPU s", lambda use: f"{use['cpu_s']:.2f}"),
    ("CPU", lambda use: f"{use['cpu_percent']:.0f}%"),
)


def table(statistics: Mapping[str, Any]) -> str:
    """One line for each stage, then one for each process if they were measured.

    ``statistics`` is plain data, as ``PipelineStatistics.as_dict`` gives it and a JSON file keeps
    it.  Waiting times and bytes are sums over all items, latencies are per item.
    """
    stages: Sequence[_Row] = statistics["stages"]
    lines = _aligned(_COLUMNS, stages)
    if any(stage["items"] for stage in stages):
        means = [stage["latency_mean_ns"] for stage in stages]
        lines[1 + means.index(max(means))] += "  <- bottleneck"
    lines.append(
        f"{statistics['pushed']} pushed, {statistics['finished']} finished, "
        f"{statistics['popped']} popped; {statistics['clock']} clock"
    )
    if statistics["processes"]:
        lines += ["", *_aligned(_PROCESS_COLUMNS, statistics["processes"])]
    return "\n".join(lines)


def _aligned(
    columns: Sequence[tuple[str, Callable[[_Row], str]]], values: Sequence[_Row]
) -> list[str]:
    rows = [[name for name, _ in columns]]
    rows += [[show(value) for _, show in columns] for value in values]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _ms(ns: float) -> str:
    return f"{ns / 1e6:.3f}"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"
