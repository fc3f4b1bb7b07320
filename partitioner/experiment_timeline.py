"""A point over time: its first items in every stage, how many wait between the stages, and what
devices went through: throughput, temperature and clock."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from compiler.drawing import Series, line_chart, lines
from pipeline.experiment import Drawn, RunResult

_WIDTH, _LEFT, _ROW = 900, 110, 30
_SHADES = ("blue", "green", "orange")

COLOURS = ("blue", "orange", "green", "overhead", "load", "output", "cpu", "rose")
"""Classes of the page's look that colour lines."""

_LONG_NS = 5 * 10**9
"""From there on time is shown in seconds."""


def timeline(one: RunResult) -> str:
    """A Gantt chart: a row for each stage, a bar for each item, held outputs behind it in grey."""
    if not one.drawn:
        return ""
    last_ns = max(item.depart_ns for item in one.drawn) or 1
    rows = sorted({(item.copy, item.segment) for item in one.drawn})
    height = len(rows) * _ROW + 24
    scale = (_WIDTH - _LEFT - 8) / last_ns
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="The first items in each of {len(rows)} stages, over '
        f'{last_ns / 1e6:.2f} ms">'
    ]
    for number, (copy, segment) in enumerate(rows):
        name = f"segment {segment}" if one.copies == 1 else f"copy {copy}, seg. {segment}"
        parts.append(
            f'<text class="small" x="{_LEFT - 8}" y="{number * _ROW + 20}" text-anchor="end">'
            f"{escape(name)}</text>"
        )
    for item in one.drawn:
        y = rows.index((item.copy, item.segment)) * _ROW + 4
        parts += _bar(item, y, scale)
    parts.append(
        f'<text class="small" x="{_LEFT}" y="{height - 4}">0</text>'
        f'<text class="small" x="{_WIDTH - 8}" y="{height - 4}" text-anchor="end">'
        f"{last_ns / 1e6:.2f} ms</text></svg>"
    )
    return f"<h2>The first items</h2>{''.join(parts)}"


def _bar(item: Drawn, y: int, scale: float) -> list[str]:
    start = _LEFT + item.start_ns * scale
    busy = max(0.5, (item.finish_ns - item.start_ns) * scale)
    held = (item.depart_ns - item.finish_ns) * scale
    note = (
        f"item {item.item}: {item.start_ns / 1e6:.3f} to {item.finish_ns / 1e6:.3f} ms, left at "
        f"{item.depart_ns / 1e6:.3f} ms"
    )
    bars = [
        f'<rect class="{_SHADES[item.item % len(_SHADES)]}" x="{start:.2f}" y="{y}" '
        f'width="{busy:.2f}" height="{_ROW - 8}"><title>{note}</title></rect>'
    ]
    if held > 0:
        bars.append(
            f'<rect class="overhead" x="{start + busy:.2f}" y="{y + 6}" width="{held:.2f}" '
            f'height="{_ROW - 20}"><title>waits for room downstream</title></rect>'
        )
    return bars


def queue_section(one: RunResult) -> str:
    """How many of the first items wait between two stages, over time."""
    segments = sorted({item.segment for item in one.drawn})
    if len(segments) < 2:
        return ""
    series = [
        Series(f"before segment {segment}", _waiting(one.drawn, segment), COLOURS[i], step=True)
        for i, segment in enumerate(segments[1 : len(COLOURS) + 1])
    ]
    series = [one for one in series if one.points]
    return "<h2>Items waiting</h2>" + lines(series, "ms", "items waiting", height=200)


def _waiting(drawn: Sequence[Drawn], segment: int) -> tuple[tuple[float, float], ...]:
    """Steps up when the stage before lets an item go, down when this stage takes it; copy 0."""
    changes: dict[int, int] = {}
    starts = {
        item.item: item.start_ns for item in drawn if (item.copy, item.segment) == (0, segment)
    }
    for item in drawn:
        if (item.copy, item.segment) == (0, segment - 1) and item.item in starts:
            left, taken = item.depart_ns, max(item.depart_ns, starts[item.item])
            changes[left] = changes.get(left, 0) + 1
            changes[taken] = changes.get(taken, 0) - 1
    waiting, points = 0, []
    for time_ns in sorted(changes):
        waiting += changes[time_ns]
        points.append((time_ns / 1e6, float(waiting)))
    return tuple(points)


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
