"""An experiment as one HTML page, in the look of the partitioner's; nothing in it is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import inf

from compiler.drawing import (
    Bar,
    Part,
    Series,
    legend,
    lines,
    page,
    section,
    stacked_bars,
    table,
    tiles,
)
from partitioner.experiment_timeline import COLOURS, course_section, queue_section, timeline
from pipeline.experiment import RunResult, label_of, likely_of, trace_name

_STYLE = """
.line.overhead { stroke: var(--overhead); fill: none; } .line.load { stroke: var(--load);
  fill: none; } .line.output { stroke: var(--output); fill: none; } .line.cpu {
  stroke: var(--cpu); fill: none; } .rose { fill: #d0679a; } .line.rose { stroke: #d0679a;
  fill: none; }
.valid { color: var(--compute); } .invalid { color: var(--streaming); font-weight: 650; }
svg.chart { min-width: 560px; } pre { font-size: 13px; overflow-x: auto; margin: 6px 0; }
"""

_MOST_DETAILS = 12
"""Points of which stages and timeline are drawn; the table and results.json have all."""

_FAR = 30
"""A point whose p99 is so many times that of the best is not drawn beside it."""

_LEFT_OUT = f"without points in which items wait {_FAR} times as long as in the best"

_COUNTED = ("segments", "copies", "pool.devices")
"""Fields that decide how many TPUs there are."""

_CLOCKS = {"virtual": "virtual time", "realtime": "wall clock"}


def experiment_page(name: str, results: Sequence[RunResult], config: str) -> str:
    """The page on the points that are done; ``config`` is the experiment as YAML."""
    parts = [f"<h1>{escape(name)}</h1>", f'<p class="dim">{_summary(results)}</p>']
    for clock, words in _CLOCKS.items():
        of_clock = [result for result in results if result.clock == clock]
        if not of_clock:
            continue
        parts.append(_tiles(of_clock, words))
        parts.append(_error_section(of_clock))
        parts += _charts(of_clock, words)
        parts.append(_table(of_clock, words))
        parts += [_details(one) for one in of_clock[:_MOST_DETAILS]]
    if len(results) > _MOST_DETAILS:
        parts.append(
            f'<p class="note">Stages of the first {_MOST_DETAILS} points; results.json has all.</p>'
        )
    parts.append(
        section(
            "Configuration",
            f"<pre>{escape(config)}</pre>"
            '<p class="note">config.yaml beside this page runs it again; run.json holds versions '
            "and seeds, cuts.jsonl the cuts, results.csv and results.json the figures.</p>",
        )
    )
    return page(f"{name}: experiment", [part for part in parts if part], _STYLE)


def _summary(results: Sequence[RunResult]) -> str:
    models = list(dict.fromkeys(result.model for result in results))
    few = ", ".join(models[:4]) + (f" and {len(models) - 4} more" if len(models) > 4 else "")
    return escape(
        f"Throughput experiment: {len(results)} point{'' if len(results) == 1 else 's'}, {few}"
    )


def _tiles(results: Sequence[RunResult], words: str) -> str:
    def tile(what: str, one: RunResult, figure: str) -> tuple[str, str]:
        return f"{what}<br>{escape(label_of(one))}", figure

    best = max(results, key=lambda one: one.throughput_per_s)
    entries = [tile(f"most items/s, {words}", best, f"{best.throughput_per_s:.1f}")]
    quick = [one for one in results if one.response_p99_ns is not None]
    if quick:
        least = min(quick, key=lambda one: one.response_p99_ns or 0)
        entries.append(tile(f"least p99, {words}", least, _ms(least.response_p99_ns)))
    judged = [one for one in results if one.verdict is not None]
    if judged:
        valid = [one for one in judged if one.verdict == "VALID"]
        entries.append(("points VALID", f"{len(valid)} of {len(judged)}"))
        if valid:
            fewest = min(valid, key=lambda one: (len(one.devices), -one.throughput_per_s))
            entries.append(tile("TPUs, the fewest VALID", fewest, str(len(fewest.devices))))
    return tiles(entries)


def _error_section(results: Sequence[RunResult]) -> str:
    factors = sorted({one.model_factor for one in results if one.model_factor is not None})
    if not factors:
        return ""
    hosts = ", ".join(dict.fromkeys(one.hosts for one in results))
    return (
        f'<section><p class="advice">Simulated ({escape(hosts)}): four of five real devices are '
        f"within a factor {', '.join(f'{one:.2f}' for one in factors)} of every figure in virtual "
        "time; <i>likely</i> is that range, of items/s, or of p99 where items come at a rate. Near "
        "full load waiting is off by more.</p></section>"
    )


def _charts(results: Sequence[RunResult], words: str) -> list[str]:
    paced = [one for one in results if one.paced]
    charts = _against_tpus(results, words) + _against_tpus(paced, words, waiting=True)
    curves = _in_scale(results)
    if not curves:
        return charts
    shown = curves[: len(COLOURS)]
    varied, series = _varied(shown), []
    for one, colour in zip(shown, COLOURS, strict=False):
        line = tuple((float(share), ns / 1e6) for share, ns in enumerate(one.response_curve_ns))
        series.append(Series(_name(one, varied), line, colour, step=True))
    note = f"{words}; so many percent of the items took no longer"
    note += f"; the first {len(COLOURS)} points" if len(curves) > len(COLOURS) else ""
    note += f"; {_LEFT_OUT}" if len(curves) < len(results) else ""
    chart = lines(series, "percent of items", "ms")
    return [*charts, section("Response time", chart, note=note)]


def _by_chart(results: Sequence[RunResult]) -> list[tuple[str, list[RunResult]]]:
    """All in one chart, or where those are too many lines, one for each model, with its title."""
    models = list(dict.fromkeys(one.model for one in results))
    if len(models) == 1 or len(_grouped(results)) <= len(COLOURS):
        return [("", list(results))]
    return [(f": {model}", [one for one in results if one.model == model]) for model in models]


def _against_tpus(results: Sequence[RunResult], words: str, *, waiting: bool = False) -> list[str]:
    """The best figure there is with so many TPUs, where points differ in that: items a second, or
    p99 of what is ``waiting``; in each chart a line for what differs otherwise."""
    what, unit = ("p99", "p99, ms") if waiting else ("Throughput", "items per second")
    note = f"{words}; {_LEFT_OUT}" if waiting else f"{words}, {unit}"
    charts = []
    for model, members in _by_chart(results):
        if len({len(one.devices) for one in members}) < 2:
            continue
        groups = _grouped(_in_scale(members) if waiting else members)
        series = []
        for (name, points), colour in zip(groups.items(), COLOURS, strict=False):
            best: dict[float, float] = {}
            for one in points:
                count = float(len(one.devices))
                if waiting:
                    best[count] = min(best.get(count, inf), (one.response_p99_ns or 0) / 1e6)
                else:
                    best[count] = max(best.get(count, 0.0), one.throughput_per_s)
            series.append(Series(name, tuple(sorted(best.items())), colour))
        over = len(groups) - len(COLOURS)
        more = f"; {over} more lines are in the table below" if over > 0 else ""
        title = escape(f"{what} against TPUs{model}")
        charts.append(section(title, lines(series, "TPUs", unit), note=f"{note}{more}"))
    return charts


def _varied(results: Sequence[RunResult]) -> list[str]:
    """The fields in which some of the points differ."""
    paths = dict.fromkeys(path for one in results for path in one.varied)
    return [path for path in paths if len({one.varied.get(path) for one in results}) > 1]


def _name(one: RunResult, varied: Sequence[str]) -> str:
    """What tells a point from the others, in a few words."""
    said = [
        f"{path.rpartition('.')[2]} {one.varied[path]}" if path != "models" else one.varied[path]
        for path in varied
        if path in one.varied
    ]
    return ", ".join(said) or one.model


def _in_scale(results: Sequence[RunResult]) -> list[RunResult]:
    """Points whose p99 can be drawn beside the least one: queues without end leave no room."""
    known = [one for one in results if one.response_p99_ns]
    least = min((one.response_p99_ns or 0 for one in known), default=0)
    return [one for one in known if (one.response_p99_ns or 0) <= _FAR * least]


def _grouped(results: Sequence[RunResult]) -> dict[str, list[RunResult]]:
    """Points that differ in nothing but the number of TPUs, by what else they are."""
    groups: dict[str, list[RunResult]] = {}
    varied = [path for path in _varied(results) if path not in _COUNTED]
    for one in results:
        groups.setdefault(_name(one, varied), []).append(one)
    return groups


def _table(results: Sequence[RunResult], words: str) -> str:
    swept = list(dict.fromkeys(path for one in results for path in one.varied)) or ["models"]
    rows = []
    for one in results:
        labels = [one.varied.get(path, one.model if path == "models" else "") for path in swept]
        figures = _figures(one, likely=results[0].model_factor is not None)
        rows.append([*map(escape, labels), *figures.values()])
    heads = [*map(escape, swept), *figures]
    note = (
        f"{words}; times are response times under load, <i>alone</i> with one item under way; "
        "<i>mJ</i> is what the devices draw for an item"
    )
    left = heads[: len(swept)]
    return section("All points", _reasons(results), table(heads, rows, left=left), note=note)


def _figures(one: RunResult, *, likely: bool) -> dict[str, str]:
    """What the table tells of a point, by heading."""
    why = escape("; ".join(one.why))
    verdict = (
        one.verdict and f"<span class='{one.verdict.lower()}' title='{why}'>{one.verdict}</span>"
    )
    low, high = one.joules_per_inference_low, one.joules_per_inference_high
    return {
        "verdict": verdict or "-",
        "TPUs": str(len(one.devices)),
        "items/s": f"{one.throughput_per_s:.1f}",
        **({"likely": likely_of(one)} if likely else {}),
        "95 % of the mean": _told(
            "{:.1f} to {:.1f}", one.throughput_low_per_s, one.throughput_high_per_s
        ),
        "speed-up": _told("{:.2f}x", one.speed_up),
        "p50": _ms(one.response_p50_ns),
        "p90": _ms(one.response_p90_ns),
        "p95": _ms(one.response_p95_ns),
        "p99": _ms(one.response_p99_ns),
        "max": _ms(one.response_max_ns),
        "alone": _ms(one.latency_alone_ns),
        "slowest stage": _ms(one.bottleneck_ns),
        "gap": _ms(one.gap_ns),
        "CPU": f"{100 * one.cpu_share:.0f} %",
        "mJ": _told("{:.3g}", one.joules_per_inference, times=1000),
        "likely mJ": _told("{:.2g} to {:.2g}", low, high, times=1000),
        "items/J": _told("{:.3g}", one.inferences_per_joule),
        "streamed": f"{sum(one.off_chip_bytes) / 2**20:.2f} MiB",
        "lost": str(one.lost),
        "failed": str(one.failed),
        "replayed": str(one.replayed),
        "late": _told("{}", one.late),
        "overruns": str(one.overruns),
    }


def _told(form: str, *values: float | None, times: int = 1) -> str:
    known = [times * value for value in values if value is not None]
    return form.format(*known) if len(known) == len(values) else "-"


def _reasons(results: Sequence[RunResult]) -> str:
    return "".join(
        f"<p class='warning'>{escape(f'{one.verdict} {label_of(one)}: ' + '; '.join(one.why))}</p>"
        for one in results
        if one.why
    )


def _details(one: RunResult) -> str:
    bars = []
    for stage in one.stages:
        used = stage.utilization
        busy = Part("busy", used, "compute", f"busy {100 * used:.1f} % of the time")
        idle = Part("idle", max(0.0, 1 - used), "overhead", "idle")
        shared = f" and {_ms(stage.shared_ns)} for what is shared" if stage.shared_ns else ""
        text = f"{100 * used:.0f} %, waits {_ms(stage.wait_ns)}{shared}"
        bars.append(Bar(stage.device, (busy, idle), text))
    return section(
        escape(label_of(one)),
        "<h2>Devices busy, and how long items wait before them</h2>",
        legend([("compute", "busy"), ("overhead", "idle")]) + stacked_bars(bars),
        *(course_section(one), timeline(one), _trace_link(one), queue_section(one)),
        note=f"Operators {', '.join(map(str, one.operators))} on {escape(', '.join(one.devices))}",
    )


def _trace_link(one: RunResult) -> str:
    if not one.drawn:
        return ""
    name = trace_name(one)
    return (
        f'<p class="note"><a href="{name}" download>{name}</a> holds these items for '
        "ui.perfetto.dev (Open trace file).</p>"
    )


def _ms(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return "-"
    return f"{nanoseconds / 1e6:.2f} ms" if nanoseconds < 1e9 else f"{nanoseconds / 1e9:.2f} s"
