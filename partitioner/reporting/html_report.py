"""The report as one HTML page: no script, no network, readable in light and dark."""

from __future__ import annotations

from html import escape

from compiler import Graph
from compiler.drawing import Bar, Part, Series, legend, line_chart, page, stacked_bars, tiles
from compiler.log import format_size
from devices.device import Timing
from devices.simulated import model_error
from partitioner.measuring import Measurement
from partitioner.problem import FILE_ORDER, ONLY_ORDER, Round, named
from partitioner.reporting.cpu_work import cpu_cell, cpu_sentence
from partitioner.reporting.html_sweep import how_many_section
from partitioner.reporting.progress import milliseconds
from partitioner.reporting.report import Report
from partitioner.reporting.segment_drawing import colour, draw_graph

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
        f'<p class="dim">{report.claims.num_operators} operators in {count} '
        f"{'segment' if count == 1 else 'segments'} for {' and '.join(links)} devices, "
        f"strategy {escape(partition.strategy)}, {escape(report.compiler)} compiler</p>",
        _tiles(report),
        f'<section><p class="advice">{escape(report.why)}</p>{_noticed(report)}</section>',
        _times(report),
        _memory(report),
        _path(report),
        _drawing(report, graph),
    ]
    if report.sweep is not None:
        parts.append(how_many_section(report.sweep, report.recommendation))
    parts.append(_details(report))
    return page(f"{report.model}: partition", parts)


def _tiles(report: Report) -> str:
    partition = report.partition
    bound, everywhere = report.claims.lower_bound_ns, report.claims.lower_bound_all_orders_ns
    which = "no cut" if everywhere == bound else "no cut looked at"
    bounds = [(f"{which} is faster than", milliseconds(bound) if bound else "unknown")]
    if everywhere != bound:
        bounds.append(
            ("nor is one in any order than", milliseconds(everywhere) if everywhere else "unknown")
        )
    of = ""
    if partition.order in (FILE_ORDER, ONLY_ORDER):  # in any order there are many more
        of = f"of {report.claims.num_operators * (report.claims.num_operators + 1) // 2:,} "
    rate = (
        "unlimited"
        if report.claims.throughput_per_second is None
        else f"{report.claims.throughput_per_second:.1f}"
    )
    entries = [
        ("items per second", rate),
        (
            "of one TPU's rate",
            "-" if report.claims.speed_up is None else f"{report.claims.speed_up:.2f} x",
        ),
        ("bottleneck", milliseconds(report.claims.bottleneck_ns)),
        *bounds,
        ("slowest minus fastest", milliseconds(report.claims.gap_ns)),
        (f"{of}segments measured", str(partition.measurements)),
    ]
    return tiles(entries)


def _noticed(report: Report) -> str:
    texts = [f"Lost {name}: {how}" for name, how in report.lost_devices.items()]
    texts += report.warnings
    known = model_error(report.devices, report.claims.throughput_per_second)
    texts += [f"Devices: {known}."] if known else []
    sure = report.confidence
    said = ""
    if sure is not None and sure.widest > 0.0:
        said = (
            f"<p>Measurements scatter: with {100 * sure.probability:.0f} % probability no cut "
            f"measured is faster; the expected loss is {100 * sure.expected_loss:.2f} %.</p>"
        )
    outputs = (
        f'<p class="note">Outputs identical to the uncut model: {escape(report.verification)}.</p>'
    )
    return said + "".join(f'<p class="warning">{escape(text)}</p>' for text in texts) + outputs


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
    bound = report.claims.lower_bound_ns or None
    everywhere = report.claims.lower_bound_all_orders_ns == report.claims.lower_bound_ns
    among = "" if everywhere else f", in {escape(report.claims.order)},"
    once = ""
    if loads:
        once = (
            '<p class="note">Once, before the first item: bringing parameters onto the chips.</p>'
            + stacked_bars(loads)
        )
    return (
        "<section><h2>Where the time of one item goes</h2>"
        '<p class="note">The longest bar sets the pace; the dashed line is the latency below '
        f"which no cut's slowest segment{among} can be.</p>"
        f"{key}{stacked_bars(bars, mark=bound, mark_text='lower bound')}{_cpu(report)}{once}"
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
    tried = [(r.measurements, r.bottleneck_ns / 1e6) for r in rounds if r.bottleneck_ns is not None]
    best = [
        (r.measurements, r.best_bottleneck_ns / 1e6)
        for r in rounds
        if r.best_bottleneck_ns is not None
    ]
    bound = [(r.measurements, r.lower_bound_ns / 1e6) for r in rounds]
    series = [
        Series("lower bound", tuple(map(_floats, bound)), "green", step=True),
        Series("best so far", tuple(map(_floats, best)), "blue", step=True),
        Series("cut tried", tuple(map(_floats, tried)), "orange", dots=True),
    ]
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
        + legend([("orange", "cut tried"), ("blue", "best so far"), ("green", "lower bound")])
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


def _floats(point: tuple[int, float]) -> tuple[float, float]:
    return float(point[0]), float(point[1])


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


def _details(report: Report) -> str:
    facts = {
        "model SHA-256": report.model_sha256,
        "orders looked at": report.partition.order,
        "segments": "; ".join(map(named, report.partition.runs)),
        "cuts before operators": ", ".join(map(str, report.partition.cuts)),
        "devices": ", ".join(str(device["name"]) for device in report.devices),
        **{name: str(value) for name, value in report.options.items() if value is not None},
    }
    rows = "".join(
        f"<tr><th class='left'>{escape(name)}</th>"
        f"<td class='left'><code>{escape(value)}</code></td></tr>"
        for name, value in facts.items()
    )
    table = f"<table>{rows}</table>"
    return f"<section><details><summary>to reproduce</summary>{table}</details></section>"
