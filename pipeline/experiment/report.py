"""The points of an experiment for people and for programs: table, JSON, CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.describing import goal_of
from pipeline.experiment.result import RunResult

WIDTH = 80
_WIDEST_LABEL = 26
_WIDEST_JOINED = 48

_CLOCKS = {"virtual": "virtual time", "realtime": "wall clock"}

_Column = tuple[str, Callable[[RunResult], str]]


def report_as_dict(name: str, results: Sequence[RunResult]) -> dict[str, Any]:
    """The report as plain JSON types; docs/experiments.md explains every field."""
    return {"name": name, "runs": [result.as_dict() for result in results]}


def format_report(name: str, results: Sequence[RunResult], total: int | None = None) -> str:
    """A table for each clock, none wider than 80 columns, and what has to be known beside.

    ``total`` is how many points the experiment has, where not all were run.
    """
    parts = []
    for clock, words in _CLOCKS.items():
        of_clock = [result for result in results if result.clock == clock]
        if of_clock:
            parts.append(f"{name} ({words})\n{_table(of_clock)}")
            parts += _notes(of_clock)
    if total is not None and len(results) < total:
        parts.append(f"{len(results)} of {total} points; the others were not run.")
    return "\n\n".join(parts)


def _notes(results: Sequence[RunResult]) -> list[str]:
    notes = []
    factors = sorted({one.model_factor for one in results if one.model_factor is not None})
    if factors:
        hosts = ", ".join(dict.fromkeys(one.hosts for one in results))
        waiting = (
            " With items at a rate, likely is of p99; near full load waiting is off by more."
            if any(one.paced for one in results)
            else ""
        )
        notes.append(
            _wrapped(
                f"likely: 4 of 5 real devices ({hosts}) are within a factor "
                f"{', '.join(f'{factor:.2f}' for factor in factors)} of every figure here; that is "
                f"how far the device model is off.{waiting}"
            )
        )
    if any(one.throughput_low_per_s is not None for one in results):
        notes.append("+-: 95 % confidence interval of the mean over the repeats.")
    for one in results:
        if one.why:
            place = ", ".join(f"{path} {label}" for path, label in one.varied.items())
            notes.append(_wrapped(f"{one.verdict} {place or one.model}: {'; '.join(one.why)}"))
    return notes


def _table(results: Sequence[RunResult]) -> str:
    swept = list(dict.fromkeys(path for one in results for path in one.varied))
    swept = [p for p in swept if len({one.varied.get(p) for one in results}) > 1]
    first: list[_Column] = [(_title(path, swept), _label(path)) for path in swept]
    if not first:
        first = [("model", lambda one: _shortened(one.model))]
    needed: list[_Column] = [("items/s", lambda one: _rate(one.throughput_per_s))]
    if any(one.throughput_high_per_s is not None for one in results):
        needed.append(("+-", _half_width))
    needed.append(("likely", likely_of))
    if all(one.model_factor is None for one in results):
        needed.pop()
    if any(one.verdict is not None for one in results):
        needed.append(("verdict", lambda one: one.verdict or ""))
    wanted: list[_Column] = [
        ("p99", lambda one: _ms(one.response_p99_ns)),
        ("speed-up", lambda one: "-" if one.speed_up is None else f"{one.speed_up:.2f}x"),
        ("slowest", lambda one: _ms(one.bottleneck_ns)),
        ("mJ", _millijoules),
        ("p50", lambda one: _ms(one.response_p50_ns)),
        ("alone", lambda one: _ms(one.latency_alone_ns)),
        ("gap", lambda one: _ms(one.gap_ns)),
        ("streamed", lambda one: f"{sum(one.off_chip_bytes) / 2**20:.1f}M"),
        ("lost", lambda one: str(one.lost)),
        ("failed", lambda one: str(one.failed)),
        ("replayed", lambda one: str(one.replayed)),
        ("late", lambda one: "-" if one.late is None else str(one.late)),
        ("overruns", lambda one: str(one.overruns)),
    ]
    if any(one.lost or one.failed or one.replayed or one.late or one.overruns for one in results):
        wanted = [*wanted[-5:], *wanted[:-5]]
    for column in _judged_by(results):
        if column[0] not in {title for title, _ in needed}:
            needed.append(column)
    titles = {title for title, _ in needed}
    taken = [one for one in wanted if one[0] not in titles and not _is_idle(one, results)]
    while True:
        text = _laid_out([*first, *needed, *taken], results, len(first))
        if max(map(len, text.splitlines())) <= WIDTH or not (taken or len(first) > 1):
            return text
        if taken:
            taken.pop()
        else:  # too many fields are swept: the last columns share one
            *kept, one, other = first
            first = [*kept, (f"{one[0]}, {other[0]}", _both(one[1], other[1]))]


def _judged_by(results: Sequence[RunResult]) -> list[_Column]:
    """The times that goals are about."""
    figures = {goal_of(text).figure for one in results for text in one.config["goals"]}
    titles = {"latency_alone_ns": "alone", "bottleneck_ns": "slowest", "gap_ns": "gap"}
    return [
        (titles.get(figure, figure.split("_")[1]), lambda one, f=figure: _ms(getattr(one, f)))  # type: ignore[misc]
        for figure in sorted(figures)
        if figure.endswith("_ns")
    ]


def _is_idle(column: _Column, results: Sequence[RunResult]) -> bool:
    values = {column[1](one) for one in results}
    if column[0] == "speed-up" and values <= {"1.00x", "-"}:
        return True
    return column[0] in (
        "lost",
        "failed",
        "replayed",
        "late",
        "overruns",
        "streamed",
    ) and (values <= {"0", "-", "0.0M"})


def _both(
    one: Callable[[RunResult], str], other: Callable[[RunResult], str]
) -> Callable[[RunResult], str]:
    return lambda result: _cut(f"{one(result)}, {other(result)}", _WIDEST_JOINED)


def _title(path: str, swept: Sequence[str]) -> str:
    """The last name of a path, or where two end alike, its last letters."""
    last = path.rpartition(".")[2]
    alone = sum(one.rpartition(".")[2] == last for one in swept) == 1
    named = {"models": "model", "segments": "TPUs", "queue_size": "queue"}
    return named.get(path, last if alone else path.removeprefix("pool."))[-16:]


def _rate(per_s: float) -> str:
    """Items per second, of slow devices with the digits that count."""
    return f"{per_s:.1f}" if per_s >= 10 or not per_s else f"{per_s:.3g}"


def _label(path: str) -> Callable[[RunResult], str]:
    if path == "models":
        return lambda one: _shortened(one.model)
    return lambda one: _cut(one.varied.get(path, ""), _WIDEST_LABEL)


def _shortened(model: str) -> str:
    return _cut(model.removeprefix("zoo:").rsplit("/", 1)[-1].removesuffix(".tflite"), 26)


def _cut(text: str, width: int) -> str:
    """``text`` in ``width`` columns, its middle left out."""
    if len(text) <= width:
        return text
    head = (width - 2) // 2
    return f"{text[:head]}..{text[head + 2 - width :]}"


def likely_of(one: RunResult) -> str:
    """The range of the figure that the devices decide: with a rate, that is the response time."""
    if one.model_factor is None:
        return "-"
    figure = (one.response_p99_ns or 0) / 1e6 if one.paced else one.throughput_per_s
    low, high = figure / one.model_factor, figure * one.model_factor
    unit = " ms" if one.paced else "/s"
    return f"{low:.0f}-{high:.0f}{unit}" if low >= 100 else f"{_rate(low)}-{_rate(high)}{unit}"


def _millijoules(one: RunResult) -> str:
    joules = one.joules_per_inference
    return "-" if joules is None else f"{1000 * joules:.3g}"


def _half_width(one: RunResult) -> str:
    high = one.throughput_high_per_s
    if high is None:
        return "-"
    half = high - one.throughput_per_s
    return f"{half:.1f}" if half >= 1 else f"{half:.3f}"


def _ms(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return "-"
    value = nanoseconds / 1e6
    return f"{value:.0f} ms" if value >= 1000 else f"{value:.2f} ms"


def _laid_out(columns: Sequence[_Column], results: Sequence[RunResult], left: int) -> str:
    rows = [[title for title, _ in columns]]
    rows += [[value(one) for _, value in columns] for one in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < left and not _numeric(rows, i) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _numeric(rows: Sequence[Sequence[str]], index: int) -> bool:
    return all(row[index].replace(".", "", 1).isdigit() for row in rows[1:])


def _wrapped(text: str) -> str:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def label_of(result: RunResult) -> str:
    """What makes a point differ, in words; of a single point its model."""
    return ", ".join(f"{path} {label}" for path, label in result.varied.items()) or result.model
