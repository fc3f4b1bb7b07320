"""Statistics as text for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.observing.statistics import PipelineStatistics, StageStatistics
    from pipeline.observing.usage import ProcessUse

_Column = tuple[str, "Callable[[StageStatistics], str]"]

_COLUMNS: tuple[_Column, ...] = (
    ("segment", lambda stage: str(stage.segment)),
    ("device", lambda stage: stage.device),
    ("items", lambda stage: str(stage.items)),
    ("mean ms", lambda stage: _ms(stage.latency_mean_ns)),
    ("p50 ms", lambda stage: _ms(stage.latency_p50_ns)),
    ("p99 ms", lambda stage: _ms(stage.latency_p99_ns)),
    ("busy", lambda stage: f"{stage.utilization:.0%}"),
    ("wait in ms", lambda stage: _ms(stage.counters.wait_input_ns)),
    ("wait out ms", lambda stage: _ms(stage.counters.wait_output_ns)),
    ("MB in", lambda stage: _mb(stage.counters.input_bytes)),
    ("MB out", lambda stage: _mb(stage.counters.output_bytes)),
    ("failed", lambda stage: str(stage.counters.failed_items)),
    ("overruns", lambda stage: str(stage.counters.overruns)),
)


def table(statistics: PipelineStatistics) -> str:
    """One line for each stage, then one for each process if they were measured.

    Waiting times and bytes are sums over all items, latencies are per item.
    """
    bottleneck = statistics.bottleneck if any(s.items for s in statistics.stages) else None
    rows = [[name for name, _ in _COLUMNS]]
    for stage in statistics.stages:
        rows.append([show(stage) for _, show in _COLUMNS])
    lines = _aligned(rows)
    for index, stage in enumerate(statistics.stages, start=1):
        if stage is bottleneck:
            lines[index] += "  <- bottleneck"
    lines.append(
        f"{statistics.pushed} pushed, {statistics.finished} finished, {statistics.popped} popped; "
        f"{statistics.clock} clock"
    )
    if statistics.processes:
        lines += ["", *_process_lines(statistics.processes)]
    return "\n".join(lines)


def _process_lines(processes: Sequence[ProcessUse]) -> list[str]:
    rows = [["process", "pid", "memory MB", "CPU s", "CPU"]]
    for use in processes:
        rows.append(
            [
                use.name,
                str(use.pid),
                _mb(use.rss_bytes),
                f"{use.cpu_s:.2f}",
                f"{use.cpu_percent:.0f}%",
            ]
        )
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _ms(ns: float) -> str:
    return f"{ns / 1e6:.3f}"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"
