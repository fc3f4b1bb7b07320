"""What would be run, before it is: for ``--dry-run``."""

from __future__ import annotations

from pathlib import Path

from pipeline.describing.point import Point
from pipeline.describing.spec import ExperimentSpec

_MOST_LINES = 30


def format_plan(spec: ExperimentSpec, output: Path) -> str:
    """The points and how much they are, within 80 columns."""
    points = spec.points
    swept = list(dict.fromkeys(path for point in points for path in point.varied))
    lines = [f"{spec.name}: {len(points)} points into {output}"]
    for path in swept:
        values = list(dict.fromkeys(p.varied[path] for p in points if path in p.varied))
        lines.append(_cut(f"  {path}: {', '.join(values)}"))
    runs = sum(point.experiment.repeats for point in points)
    items = sum(point.items * point.experiment.repeats for point in points)
    cuts = {
        (p.experiment.models, p.experiment.segments, p.experiment.partition, p.pool.devices)
        for p in points
        if p.experiment.segments > 1 and p.experiment.partition != "parameter-count"
    }
    most = max(len(point.pool.devices) for point in points)
    lines += [
        f"  {runs} runs, {items:,} inferences measured, up to {most} devices at once",
        f"  {len(cuts)} cuts to be searched at most",
        "",
    ]
    lines += [_cut(f"  {i + 1:>4}  {_told(p)}") for i, p in enumerate(points[:_MOST_LINES])]
    if len(points) > _MOST_LINES:
        lines.append(f"        ... and {len(points) - _MOST_LINES} more")
    return "\n".join([*lines, "", "Nothing is wrong with it."])


def _told(point: Point) -> str:
    return ", ".join(f"{k} {v}" for k, v in point.varied.items()) or point.experiment.models


def _cut(line: str, width: int = 80) -> str:
    return line if len(line) <= width else f"{line[: width - 3]}..."
