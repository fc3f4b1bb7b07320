"""What devices went through during a point: throughput, temperature and clock over time."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.drawing import Series, line_chart, lines
from partitioner.experiment_timeline import COLOURS
from pipeline.experiment import RunResult

_LONG_NS = 5 * 10**9
"""From there on time is shown in seconds."""


def course_section(one: RunResult) -> str:
    """Throughput over time, and of the devices temperature and clock; empty without courses."""
    if not one.courses:
        return ""
    last_ns = max([0, *one.pace_at_ns, *(at for course in one.courses for at in course.at_ns)])
    unit_ns, unit = (10**9, "seconds") if last_ns >= _LONG_NS else (10**6, "ms")

    def line(at_ns: Sequence[int], values: Sequence[float]) -> tuple[tuple[float, float], ...]:
        pairs = zip(at_ns, values, strict=True)
        return tuple((at / unit_ns, float(value)) for at, value in pairs)

    shown = one.courses[: len(COLOURS)]
    warmth = [
        Series(course.device, line(course.at_ns, course.celsius), COLOURS[i], step=True)
        for i, course in enumerate(shown)
        if course.celsius
    ]
    clocks = [
        Series(course.device, line(course.at_ns, course.clock_mhz), COLOURS[i], step=True)
        for i, course in enumerate(shown)
    ]
    parts = []
    if one.pace_per_s:  # each figure is of the stretch before its time
        pace = line((0, *one.pace_at_ns), (*one.pace_per_s, one.pace_per_s[-1]))
        series = [Series("items per second", pace, "blue", step=True)]
        parts.append(_chart("Throughput over time", series, unit, "items per second"))
    if warmth:
        peak = max(max(course.celsius) for course in shown if course.celsius)
        parts.append(_chart(f"Temperature, {peak:.1f} °C at most", warmth, unit, "°C"))
    parts.append(_chart("Clock", clocks, unit, "MHz"))
    return "".join(parts)


def _chart(title: str, series: Sequence[Series], unit: str, y_title: str) -> str:
    draw = lines if len(series) > 1 else line_chart
    return f"<h2>{title}</h2>{draw(series, unit, y_title, height=200)}"
