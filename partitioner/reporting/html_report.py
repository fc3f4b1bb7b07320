"""The report as one HTML page: no script, no network, readable in light and dark."""

from __future__ import annotations

from html import escape

from compiler import Graph
from compiler.drawing import Bar, Part, Series, legend, line_chart, page, stacked_bars, tiles
from compiler.log import format_size
from devices.device import Timing
from partitioner.measuring import Measurement
from partitioner.problem import FILE_ORDER, ONLY_ORDER, Round, named
from partitioner.reporting.cpu_work import cpu_cell, cpu_sentence
from partitioner.reporting.html_circumstances import noticed, to_reproduce
from partitioner.reporting.html_sweep import how_many_section
from partitioner.reporting.progress import counted, milliseconds
from partitioner.reporting.report import Report
from partitioner.reporting.segment_drawing import colour, draw_graph
from partitioner.reporting.why import lower_bound, of_which_cuts
from partitioner.sizing import per_second

_PARTS = (
    ("request", "overhead", "overhead_ns"),
    ("parameter load", "load", "parameter_load_ns"),
    ("transfer in", "input", "input_ns"),
    ("compute", "compute", "compute_ns"),
    ("parameter streaming", "streaming", "streaming_ns"),
    ("transfer out", "output", "output_ns"),
    ("CPU operators", "cpu", "cpu_ns"),
)
"""Name, class and field of every part of a :class:`~devices.device.Timing`."""


def partition_page(report: Report, graph: Graph) -> str:
    """The page on a partition."""
    partition = report.partition
    count = len(partition.segments)
    links = sorted({str(place.get("link", "")) for place in report.placement or report.devices})
    parts = [
        f"<h1>{escape(report.model)}</h1>",
        f'<p class="dim">{report.claims.num_operators} operators in {counted(count, "segment")} '
        f"for {' and '.join(links)} devices, "
        f"strategy {escape(partition.strategy)}, {escape(report.compiler)} compiler</p>",
        _tiles(report),
        f'<section><p class="advice">{escape(report.why)}</p>{_noticed(report)}</section>',
        _times(report),
        _memory(report),
        *([_path(report)] if count > 1 else []),  # else nothing was sought of what this page is on
        _drawing(report, graph),
    ]
    if report.sweep is not None:
        parts.append(how_many_section(report.sweep, report.recommendation))
    facts = {
        "orders looked at": partition.order,
        "segments": "; ".join(map(named, partition.runs)),
        "cuts before operators": ", ".join(map(str, partition.cuts)),
    }
    parts.append(to_reproduce(report, facts))
    return page(f"{report.model}: partition", parts)


def _tiles(report: Report) -> str:
    partition = report.partition
    claims, cut = report.claims, escape(of_which_cuts(report.claims, report.options))
    bounds = {}
    if claims.num_segments > 1:  # of the uncut model there is nothing else to be
        bounds[f"no {cut} is faster than"] = claims.lower_bound_ns
        if cut != "cut":
            bounds["nor is one in any order than"] = claims.lower_bound_all_orders_ns
    of = ""
    one_order = claims.num_segments > 1 and partition.order in (FILE_ORDER, ONLY_ORDER)
    if one_order and not partition.kinds:  # else there are many more
        of = f"of {report.claims.num_operators * (report.claims.num_operators + 1) // 2:,} "
    rate = report.per_second
    entries = [
        ("items per second", "unlimited" if rate is None else per_second(rate)),
        (
            "of one TPU's rate",
            "-" if report.claims.speed_up is None else f"{report.claims.speed_up:.2f} x",
        ),
        ("bottleneck", milliseconds(report.claims.bottleneck_ns)),
        *((what, lower_bound(claims, ns) if ns else "unknown") for what, ns in bounds.items()),
        ("slowest minus fastest", milliseconds(report.claims.gap_ns)),
        (f"{of}segments measured", str(partition.measurements)),
    ]
    return tiles(entries)


def _noticed(report: Report) -> str:
    outputs = f"Outputs identical to the uncut model: {report.verification}."
    return noticed(report) + f'<p class="note">{escape(outputs)}</p>'


def _times(report: Report) -> str:
    partition = report.partition
    bars, loads = [], []
    names: dict[str, str] = {}
    for index, profile in enumerate(partition.segments):
        measured = report.measurements[index] if report.measurements else None
        parts = _parts_of(measured, profile.latency_ns)
        names.update((part.css, part.name) for part in parts)
        place = report.placement[index]["device"] if report.placement else ""
        label = f"segment {index}" + (f" ({place})" if place else "")
        bars.append(Bar(label, parts, milliseconds(profile.latency_ns)))
        if measured is not None and measured.load_ns:
            note = f"segment {index}, once: {milliseconds(measured.load_ns)}"
            part = Part("parameter load", measured.load_ns, "load", note)
            loads.append(Bar(f"segment {index}", (part,), milliseconds(measured.load_ns)))
    entries = [(css, name) for name, css, _ in _PARTS if css in names]
    if "total" in names:
        entries.append(("total", "whole inference (this device tells no parts)"))
    key = legend(entries)
    bound = report.claims.lower_bound_ns if len(bars) > 1 else 0
    cut = escape(of_which_cuts(report.claims, report.options))
    pace = "The longest bar sets the pace"
    if bound:
        pace += f"; the dashed line is the lower bound: no {cut} has its slowest segment below it"
    once = ""
    if loads:
        once = (
            '<p class="note">Once, before the first item: bringing parameters onto the chips.</p>'
            + stacked_bars(loads)
        )
    return (
        "<section><h2>Where the time of one item goes</h2>"
        f'<p class="note">{pace}.</p>{key}'
        f"{stacked_bars(bars, mark=bound or None, mark_text='lower bound')}{_cpu(report)}{once}"
        "</section>"
    )


def _cpu(report: Report) -> str:
    """What the host's CPU does, by segment."""
    sentence = cpu_sentence(report)
    if not sentence:
        return '<p class="note">Nothing runs on the host\'s CPU.</p>'
    rows = "".join(
        f"<tr><td>{index}</td><td>{cpu_cell(profile)}</td>"
        f"<td class='left'>{escape(', '.join(sorted(set(profile.facts.cpu_operators))))}</td></tr>"
        for index, profile in enumerate(report.partition.segments)
    )
    return (
        f'<p class="note">On the host\'s CPU: {escape(sentence)}.</p><table><tr><th>segment</th>'
        f"<th>operators on the CPU</th><th class='left'>which</th></tr>{rows}</table>"
    )


def _parts_of(measured: Measurement | None, latency_ns: int) -> tuple[Part, ...]:
    """The pieces of a bar; a single one where the device tells nothing but the total."""
    timing = Timing(compute_ns=latency_ns) if measured is None else measured.timing
    told = [(name, css, getattr(timing, key)) for name, css, key in _PARTS if getattr(timing, key)]
    if all(key == "compute" for _, key, _ in told):  # a real device: it knows the sum alone
        return (Part("total", latency_ns, "total", milliseconds(latency_ns)),)
    scale = latency_ns / max(1, timing.total_ns)
    return tuple(
        Part(name, value * scale, css, f"{name}: {milliseconds(round(value * scale))}")
        for name, css, value in told
    )


def _memory(report: Report) -> str:
    bars = []
    for index, profile in enumerate(report.partition.segments):
        facts = profile.facts
        on, off = format_size(facts.on_chip_bytes), format_size(facts.off_chip_bytes)
        bars.append(
            Bar(
                f"segment {index}",
                (
                    Part("on chip", facts.on_chip_bytes, "onchip", f"on chip: {on}"),
                    Part("off chip", facts.off_chip_bytes, "offchip", f"off chip: {off}"),
                ),
                on if not facts.off_chip_bytes else f"{on} + {off}",
            )
        )
    return (
        "<section><h2>Parameters on and off the chips</h2>"
        '<p class="note">What is off the chip is streamed at every inference; '
        f"{format_size(report.partition.bytes_across_cuts)} of tensors cross the cuts.</p>"
        f"{legend([('onchip', 'on chip'), ('offchip', 'off chip')])}{stacked_bars(bars)}</section>"
    )


def _path(report: Report) -> str:
    rounds = report.partition.rounds
    over: dict[str, list[int | None]] = {
        "lower bound": [r.lower_bound_ns for r in rounds],
        "best so far": [r.best_bottleneck_ns for r in rounds],
        "cut tried": [r.bottleneck_ns for r in rounds],
    }
    series = []
    for (name, values), css in zip(over.items(), ("green", "blue", "orange"), strict=True):
        told = zip(rounds, values, strict=True)
        points = tuple((float(r.measurements), ns / 1e6) for r, ns in told if ns is not None)
        series.append(Series(name, points, css, step=css != "orange", dots=css == "orange"))
    rows = "".join(
        f"<tr><td>{r.index}</td><td class='left'>{_cuts(r)}</td>"
        f"<td>{'ruled out' if r.bottleneck_ns is None else milliseconds(r.bottleneck_ns)}</td>"
        f"<td>{milliseconds(r.best_bottleneck_ns)}</td><td>{milliseconds(r.lower_bound_ns)}</td>"
        f"<td>{r.measurements}</td></tr>"
        for r in rounds
    )
    chart = line_chart(series, "segments measured", "bottleneck, ms") if len(rounds) > 1 else ""
    if not chart:
        chart = '<p class="note">The first cut tried was the last one.</p>'
    return (
        "<section><h2>The search's path</h2>"
        '<p class="note">The result is proven once the best cut meets the bound.</p>'
        + legend([(one.css, one.name) for one in series])
        + chart
        + "<details><summary>all rounds</summary><table><tr><th>round</th>"
        "<th class='left'>cuts before operators</th><th>bottleneck</th><th>best</th><th>bound</th>"
        f"<th>measured</th></tr>{rows}</table></details></section>"
    )


def _cuts(entry: Round) -> str:
    """Where a round cut; its segments where that is not in the order of the file."""
    if not entry.segments:
        return ", ".join(map(str, entry.cuts))
    return "; ".join(map(named, entry.segments))


def _drawing(report: Report, graph: Graph) -> str:
    partition = report.partition
    names = [
        (
            colour(i),
            f"{i}: {named(p.segment.runs)}"
            + (f" on {report.placement[i]['device']}" if report.placement else ""),
        )
        for i, p in enumerate(partition.segments)
    ]
    return (
        "<section><h2>The graph by segment</h2>"
        '<p class="note">From left to right; dashed lines are tensors that go from segment to '
        "segment. Point at an operator for its kind.</p>"
        f"{legend(names)}{draw_graph(graph, partition.runs)}</section>"
    )
