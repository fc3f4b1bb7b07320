"""Numbers of TPUs in HTML: a page of their own, or a section of the page on a partition."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from compiler.drawing import Series, legend, line_chart, page
from partitioner.reporting.html_circumstances import noticed, to_reproduce
from partitioner.reporting.progress import counted, milliseconds
from partitioner.reporting.sweep_report import (
    ALONE,
    SweepReport,
    advice_lines,
    cpu_share,
    sweep_cells,
    sweep_notes,
)
from partitioner.sizing import Plan, Recommendation, Sweep, SweepRow, describe, in_ms, per_second

_LINES: tuple[tuple[str, str, Callable[[SweepRow], Plan | None]], ...] = (
    ("copies of the whole model", "orange", lambda row: row.copies),
    ("one pipeline", "blue", lambda row: row.pipeline),
    ("best plan", "green", lambda row: row.best),
)
"""Of the chart: name, class, and what is drawn for a number of TPUs."""


def sweep_page(report: SweepReport) -> str:
    """The page on numbers of TPUs alone."""
    measured = counted(report.measurements, "segment")
    return page(
        f"{report.model}: how many TPUs",
        [
            f"<h1>{escape(report.model)}</h1>",
            f'<p class="dim">How many TPUs are worth it: {measured} measured, '
            f"{escape(report.compiler)} compiler</p>",
            how_many_section(report.sweep, report.recommendation),
            f"<section>{noticed(report)}</section>" if report.noticed else "",
            to_reproduce(report, {}),
        ],
    )


def how_many_section(sweep: Sweep, recommendation: Recommendation | None) -> str:
    """The recommendation, and every plan as a chart and as a table."""
    advice = [] if recommendation is None else advice_lines(recommendation)
    paragraphs = "".join(
        f'<p class="{name}">{escape(text)}</p>'
        for name, text in zip(("advice", "note"), advice, strict=False)
    )
    notes = "".join(f'<p class="note">{escape(text)}</p>' for text in [ALONE, *sweep_notes(sweep)])
    rows = "".join(_row(row, recommendation) for row in sweep.rows)
    return (
        f"<section><h2>How many TPUs?</h2>{paragraphs}{_chart(sweep, recommendation)}"
        "<table><tr><th>TPUs</th><th>one pipeline</th><th>latency</th><th>CPU</th>"
        "<th>copies</th><th>latency</th><th class='left'>best plan</th><th>latency</th>"
        "<th>best</th><th>gain by the last TPU</th><th>best, per TPU</th></tr>"
        f"{rows}</table>{notes}</section>"
    )


def _row(row: SweepRow, recommendation: Recommendation | None) -> str:
    """As in the table on a terminal, with the plan in words and what its shorter lines leave out.

    The row of the plan that is recommended stands out.
    """
    devices, rate, latency, _, copied, copied_latency, _, best, gain = sweep_cells(row)
    chosen = recommendation is not None and recommendation.plan == row.best
    chosen = chosen and row.best.num_devices == row.num_devices
    before = (devices, rate, latency, _cpu(row.pipeline), copied, copied_latency)
    behind = (f"{in_ms(row.best.latency_ns)} ms", best, gain, f"{per_second(row.efficiency)}/s")
    return (
        f"<tr{' class=chosen' if chosen else ''}>{''.join(map(_cell, before))}"
        f"<td class='left'>{describe(row.best)}</td>{''.join(map(_cell, behind))}</tr>"
    )


def _cell(text: str) -> str:
    return f"<td>{text}</td>"


def _chart(sweep: Sweep, recommendation: Recommendation | None) -> str:
    """Throughput over numbers of TPUs, and the throughput to be reached, if one is."""
    series = []
    for name, css, plan_of in _LINES:
        plans = ((float(row.num_devices), plan_of(row)) for row in sweep.rows)
        points = tuple((x, plan.throughput) for x, plan in plans if plan is not None)
        series.append(Series(name, points, css))
    if recommendation is not None and recommendation.target.fps is not None:
        least = recommendation.target.least_fps
        points = tuple((float(row.num_devices), least) for row in sweep.rows)
        series.append(Series("asked for, with the margin", points, "grey", step=True))
    return legend([(one.css, one.name) for one in series]) + line_chart(
        series, "TPUs", "items per second"
    )


def _cpu(plan: Plan | None) -> str:
    """Time of one item on the CPU, and its share of the latency."""
    if plan is None or plan.pipeline.host_cpu_ns is None:
        return cpu_share(plan)
    return f"{milliseconds(plan.pipeline.host_cpu_ns)}, {cpu_share(plan)}"
