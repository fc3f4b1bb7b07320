"""Numbers of TPUs in HTML: a page of their own, or a section of the page on a partition."""

from __future__ import annotations

from html import escape

from compiler.drawing import Series, legend, line_chart, page
from devices.simulated import model_error
from partitioner.reporting.progress import milliseconds
from partitioner.reporting.sweep_report import SweepReport, advice_lines, cpu_share
from partitioner.sizing import Plan, Recommendation, Sweep, describe


def sweep_page(report: SweepReport) -> str:
    """The page on numbers of TPUs alone."""
    noticed = [*(report.lost_devices or {}).values(), *report.warnings]
    if known := model_error(report.devices):
        noticed.append(f"Devices: {known}.")
    return page(
        f"{report.model}: partition",
        [
            f"<h1>{escape(report.model)}</h1>",
            '<p class="dim">How many TPUs are worth it</p>',
            how_many_section(report.sweep, report.recommendation),
            *(f'<section><p class="warning">{escape(text)}</p></section>' for text in noticed),
        ],
    )


def how_many_section(sweep: Sweep, recommendation: Recommendation | None) -> str:
    """The recommendation, and every plan as a chart and as a table."""
    rows: list[str] = []
    points: dict[str, list[tuple[float, float]]] = {"pipeline": [], "copies": [], "best": []}
    for row in sweep.rows:
        plans = {"pipeline": row.pipeline, "copies": row.copies, "best": row.best}
        cells = ""
        for name, plan in plans.items():
            if plan is not None:
                points[name].append((float(row.num_devices), plan.throughput))
            if name != "best":
                cells += (
                    "<td>-</td><td>-</td>"
                    if plan is None
                    else f"<td>{plan.throughput:.1f}</td><td>{milliseconds(plan.latency_ns)}</td>"
                )
            if name == "pipeline":
                cells += f"<td>{_cpu(plan)}</td>"
        gain = "-" if row.marginal_gain is None else f"{100 * row.marginal_gain:+.0f} %"
        chosen = recommendation is not None and recommendation.plan == row.best
        rows.append(
            f"<tr{' class=chosen' if chosen else ''}><td>{row.num_devices}</td>{cells}"
            f"<td class='left'>{describe(row.best)}</td><td>{row.best.throughput:.1f}</td>"
            f"<td>{gain}</td><td>{row.efficiency:.1f}</td></tr>"
        )
    series = [
        Series("copies of the whole model", tuple(points["copies"]), "orange"),
        Series("one pipeline", tuple(points["pipeline"]), "blue"),
        Series("best plan", tuple(points["best"]), "green"),
    ]
    advice = (
        ""
        if recommendation is None
        else "".join(
            f'<p class="{name}">{escape(text)}</p>'
            for name, text in zip(("advice", "note"), advice_lines(recommendation), strict=False)
        )
    )
    return (
        f"<section><h2>How many TPUs?</h2>{advice}"
        + legend(
            [
                ("blue", "one pipeline"),
                ("orange", "copies of the whole model"),
                ("green", "best plan"),
            ]
        )
        + line_chart(series, "TPUs", "items per second")
        + '<p class="note">Latency is that of one item alone; of that the host\'s CPU, which all '
        "TPUs share, takes so much.</p>"
        "<table><tr><th>TPUs</th><th>pipeline, items/s</th><th>latency</th><th>on the CPU</th>"
        "<th>copies, items/s</th><th>latency</th><th class='left'>best plan</th><th>items/s</th>"
        "<th>gain by the last TPU</th>"
        f"<th>items/s per TPU</th></tr>{''.join(rows)}</table></section>"
    )


def _cpu(plan: Plan | None) -> str:
    """Time of one item on the CPU, and its share of the latency."""
    if plan is None or plan.pipeline.host_cpu_ns is None:
        return cpu_share(plan)
    return f"{milliseconds(plan.pipeline.host_cpu_ns)}, {cpu_share(plan)}"
