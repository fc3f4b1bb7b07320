"""The result of an experiment: plain data, a table for people and a mapping for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from devices.simulated import model_error


@dataclass(frozen=True)
class RunResult:
    """One pipeline run: one model, one number of segments, one queue size.

    ``throughput_per_s`` counts items leaving the pipeline in steady state; ``speed_up`` compares
    it with one device running the whole model.  ``latency_*_ns`` is the time of an item from
    entering the first stage to leaving the last; ``stage_latency_ns`` the mean latency of each
    stage alone, its parameters loaded.  ``off_chip_bytes`` are streamed at every inference.
    ``clock`` tells whether the times are virtual (exact, repeatable) or wall time; ``overruns``
    counts inferences on the realtime clock for which the host was too slow.
    """

    model: str
    segments: int
    queue_size: int
    clock: str
    inferences: int
    operators: tuple[int, ...]
    throughput_per_s: float
    speed_up: float
    latency_p50_ns: int
    latency_p99_ns: int
    stage_latency_ns: tuple[int, ...]
    on_chip_bytes: tuple[int, ...]
    off_chip_bytes: tuple[int, ...]
    overruns: int

    @property
    def bottleneck_ns(self) -> int:
        """Latency of the slowest stage."""
        return max(self.stage_latency_ns)

    @property
    def gap_ns(self) -> int:
        """Slowest minus fastest stage."""
        return max(self.stage_latency_ns) - min(self.stage_latency_ns)


@dataclass(frozen=True)
class ExperimentReport:
    """All runs of an experiment, in the order of its file.

    ``devices`` describe those of the pool that differ (:func:`devices.simulated.description_of`).
    """

    name: str
    runs: tuple[RunResult, ...]
    devices: tuple[Mapping[str, str | int | float], ...] = ()


def report_as_dict(report: ExperimentReport) -> dict[str, Any]:
    """The report as plain JSON types."""
    return {
        "name": report.name,
        "devices": [dict(device) for device in report.devices],
        "model_error": model_error(report.devices),
        "runs": [
            {**asdict(run), "bottleneck_ns": run.bottleneck_ns, "gap_ns": run.gap_ns}
            for run in report.runs
        ],
    }


_HEADERS = (
    "model",
    "TPUs",
    "queue",
    "items/s",
    "speed-up",
    "latency p50",
    "bottleneck",
    "gap",
    "on-chip",
    "off-chip",
)


def format_table(report: ExperimentReport) -> str:
    """The runs as an aligned text table, numbers right-aligned."""
    rows = [
        (
            run.model,
            str(run.segments),
            str(run.queue_size),
            f"{run.throughput_per_s:.1f}",
            f"{run.speed_up:.2f}x",
            _milliseconds(run.latency_p50_ns),
            _milliseconds(run.bottleneck_ns),
            _milliseconds(run.gap_ns),
            _mebibytes(sum(run.on_chip_bytes)),
            _mebibytes(sum(run.off_chip_bytes)),
        )
        for run in report.runs
    ]
    known = model_error(report.devices)
    return align(_HEADERS, rows) + (f"\n\ndevices: {known}" if known else "")


def align(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out ``rows`` under ``headers``: first column left, the others right-aligned."""
    widths = [max(len(row[i]) for row in (headers, *rows)) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        others = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return "  ".join((first, *others)).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join((line(headers), rule, *(line(row) for row in rows)))


def _milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.2f} ms"


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.2f} MiB"
