"""The report as one HTML page: no script, no network, readable in light and dark."""

from __future__ import annotations

from html import escape

from compiler import Graph
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
        of = f"of {claims.num_operators * (claims.num_operators + 1) // 2:,} "
    rate = report.per_second
    entries = [
        ("items per second", "unlimited" if rate is None else per_second(rate)),
        ("of one TPU's rate", "-" if claims.speed_up is None else f"{claims.speed_up:.2f} x"),
        ("bottleneck", milliseconds(claims.bottleneck_ns)),
        *((what, lower_bound(claims, ns) if ns else "unknown") for what, ns in bounds.items()),
        ("slowest minus fastest", milliseconds(claims.gap_ns)),
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
    once = '<p class="note">Once, before the first item: bringing parameters onto the chips.</p>'
    return section(
        "Where the time of one item goes",
        key + stacked_bars(bars, mark=bound or None, mark_text="lower bound") + _cpu(report),
        once + stacked_bars(loads) if loads else "",
        note=f"{pace}.",
    )


def _cpu(report: Report) -> str:
    """What the host's CPU does, by segment."""
    sentence = cpu_sentence(report)
    if not sentence:
        return '<p class="note">Nothing runs on the host\'s CPU.</p>'
    rows = [
        (str(index), cpu_cell(one), escape(", ".join(sorted(set(one.facts.cpu_operators)))))
        for index, one in enumerate(report.partition.segments)
    ]
    told = table(("segment", "operators on the CPU", "which"), rows, left=["which"])
    return f'<p class="note">On the host\'s CPU: {escape(sentence)}.</p>{told}'


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
        parts = (
            Part("on chip", facts.on_chip_bytes, "onchip", f"on chip: {on}"),
            Part("off chip", facts.off_chip_bytes, "offchip", f"off chip: {off}"),
        )
        bars.append(Bar(f"segment {index}", parts, f"{on} + {off}" if facts.off_chip_bytes else on))
    return section(
        "Parameters on and off the chips",
        legend([("onchip", "on chip"), ("offchip", "off chip")]) + stacked_bars(bars),
        note="What is off the chip is streamed at every inference; "
        f"{format_size(report.partition.bytes_across_cuts)} of tensors cross the cuts.",
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
    cuts = "cuts before operators"
    rows = [
        (
            str(r.index),
            _cuts(r),
            "ruled out" if r.bottleneck_ns is None else milliseconds(r.bottleneck_ns),
            milliseconds(r.best_bottleneck_ns),
            milliseconds(r.lower_bound_ns),
            str(r.measurements),
        )
        for r in rounds
    ]
    every = table(("round", cuts, "bottleneck", "best", "bound", "measured"), rows, left=[cuts])
    return section(
        "The search's path",
        lines(series, "segments measured", "bottleneck, ms")
        if len(rounds) > 1
        else '<p class="note">The first cut tried was the last one.</p>',
        f"<details><summary>all rounds</summary>{every}</details>",
        note="The result is proven once the best cut meets the bound.",
    )


def _cuts(entry: Round) -> str:
    """Where a round cut; its segments where that is not in the order of the file."""
    if not entry.segments:
        return ", ".join(map(str, entry.cuts))
    return "; ".join(map(named, entry.segments))


def _drawing(report: Report, graph: Graph) -> str:
    partition = report.partition
    on = [f" on {place['device']}" for place in report.placement] or [""] * len(partition.runs)
    names = [
        (colour(i), f"{i}: {named(runs)}{device}")
        for i, (runs, device) in enumerate(zip(partition.runs, on, strict=True))
    ]
    return section(
        "The graph by segment",
        legend(names) + draw_graph(graph, partition.runs),
        note="From left to right; dashed lines are tensors that go from segment to segment. Point "
        "at an operator for its kind.",
    )
