"""The tables and the verdicts, all of them from the figures of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .drive import LATENCY, SATURATED, Mode
from .rounds import Measurements, Outcome, Plan
from .summary import Spread, ratios

REFERENCE = "channel"
"""The row the others' latency and throughput are divided by."""

LIMIT_FACTOR = 2.0
"""How far above the C program the overhead may be ..."""

LIMIT_FROM_BYTES = 150 * 1024
"""... for tensors of this size and larger."""


@dataclass(frozen=True)
class Metric:
    """A figure that is compared: lower is better."""

    title: str
    mode: str
    figure: str


LATENCY_METRIC = Metric("latency", LATENCY.name, "p50_us")
THROUGHPUT_METRIC = Metric("throughput", SATURATED.name, "period_us")


def overhead_metric(mode: Mode) -> Metric:
    """What the transport adds to the period of working stages."""
    return Metric(f"overhead, {mode.name}", mode.name, "overhead_us")


def size_name(size_bytes: int) -> str:
    """``150 KiB`` for 153600."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= factor and size_bytes % factor == 0:
            return f"{size_bytes // factor} {unit}"
    return f"{size_bytes} B"


def tables(plan: Plan, measurements: Measurements) -> str:
    """One table for every size, ours marked with ``*``."""
    return "\n\n".join(_table(plan, measurements, size) for size in plan.sizes)


def _table(plan: Plan, measurements: Measurements, size: int) -> str:
    """Without work: latency and throughput; then, with working stages, the overhead."""
    compared = [
        (LATENCY_METRIC, "4 stages, p50", "x ours"),
        (THROUGHPUT_METRIC, "per item", "x ours"),
    ]
    worked = [
        (overhead_metric(mode), f"added, {mode.name}", "x C") for mode in plan.modes if mode.work_ns
    ]
    upper = [[size_name(size), "hop, p50"]]
    lower = [[size_name(size)]]
    for table, columns in ((upper, compared), (lower, worked)):
        for _, title, ratio_title in columns:
            table[0] += [title, ratio_title]
    for outcome in measurements.outcomes:
        if not any(outcome.figures):
            continue
        hop = Spread.of(_known(outcome.values(size, LATENCY.name, "hop_p50_us")))
        upper.append([_label(outcome), _with_spread(hop)])
        lower.append([_label(outcome)])
        for table, columns, reference in ((upper, compared, REFERENCE), (lower, worked, "c")):
            for metric, _, _ in columns:
                table[-1] += [
                    _with_spread(_spread(outcome, size, metric)),
                    _ratio(compare(measurements, size, metric, outcome, reference)),
                ]
    return _align(upper) + "\n\n" + _align(lower)


def compare(
    measurements: Measurements, size: int, metric: Metric, outcome: Outcome, reference: str
) -> Spread | None:
    """``outcome / reference`` inside every round; ``None`` if there is no such round."""
    found = ratios(
        outcome.values(size, metric.mode, metric.figure),
        measurements.outcome(reference).values(size, metric.mode, metric.figure),
    )
    return Spread.of(found) if found else None


def verdicts(plan: Plan, measurements: Measurements) -> list[str]:
    """Sentences that can be false."""
    lines = []
    for ours in measurements.outcomes:
        if ours.transport.role == "ours" and any(ours.figures):
            for metric in (LATENCY_METRIC, THROUGHPUT_METRIC):
                lines.append(_ahead(plan, measurements, ours, metric))
    for ours in measurements.outcomes:
        if ours.transport.role == "ours" and any(ours.figures):
            lines += _near_limit(plan, measurements, ours)
    return lines


def _ahead(plan: Plan, measurements: Measurements, ours: Outcome, metric: Metric) -> str:
    behind, unsure, compared = [], [], 0
    for size in plan.sizes:
        for peer in measurements.outcomes:
            if peer.transport.role != "peer":
                continue
            ratio = compare(measurements, size, metric, peer, ours.transport.name)
            if ratio is None:
                continue
            compared += 1
            where = f"{peer.transport.label} at {size_name(size)} ({_ratio(ratio)})"
            if ratio.median <= 1:
                behind.append(where)
            elif ratio.low <= 1:
                unsure.append(where)
    what = f"{ours.transport.label} ahead of every peer in {metric.title}"
    if not compared:
        return f"{what}: no peer was measured"
    answer = f"no, behind in {len(behind)}: {'; '.join(behind)}" if behind else "yes"
    note = f". Ahead, but not in every round: {'; '.join(unsure)}" if unsure else ""
    return f"{what} ({compared} comparisons): {answer}{note}"


def _near_limit(plan: Plan, measurements: Measurements, ours: Outcome) -> list[str]:
    """One sentence with a limit for large tensors, one without for small ones."""
    large, small, missed = [], [], False
    for size in plan.sizes:
        for mode in plan.modes:
            metric = overhead_metric(mode)
            ratio = compare(measurements, size, metric, ours, "c") if mode.work_ns else None
            if ratio is None:
                continue
            added = _number(_spread(ours, size, metric).median)
            cell = f"{size_name(size)}, {mode.name}: {added} us, {_ratio(ratio)} of C"
            if size >= LIMIT_FROM_BYTES:
                missed |= ratio.median > LIMIT_FACTOR
                large.append(cell + (" (above)" if ratio.median > LIMIT_FACTOR else ""))
            else:
                small.append(cell)
    label = ours.transport.label
    lines = []
    if large:
        lines.append(
            f"{label} adds at most {LIMIT_FACTOR:g}x what the C program adds, from "
            f"{size_name(LIMIT_FROM_BYTES)} on: {'no' if missed else 'yes'}. {'; '.join(large)}"
        )
    if small:
        lines.append(f"{label} adds below that size: {'; '.join(small)}")
    return lines


def notes(measurements: Measurements) -> list[str]:
    """Who is absent, who failed, and what was left behind."""
    lines = []
    for outcome in measurements.outcomes:
        label = outcome.transport.label
        if outcome.absent:
            lines.append(f"{label}: absent, {outcome.absent}")
        lines += [f"{label}: {failure}" for failure in outcome.failures]
    left = [
        f"{outcome.transport.label}: {worst}"
        for outcome in measurements.outcomes
        if outcome.leftovers
        and (worst := max(outcome.leftovers, key=lambda each: each.total)).total
    ]
    lines.append("left behind after closing (removed since): " + ("; ".join(left) or "nothing"))
    return lines


def _label(outcome: Outcome) -> str:
    return ("* " if outcome.transport.role == "ours" else "  ") + outcome.transport.label


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _spread(outcome: Outcome, size: int, metric: Metric) -> Spread:
    return Spread.of(_known(outcome.values(size, metric.mode, metric.figure)))


def _with_spread(spread: Spread) -> str:
    return f"{_number(spread.median)} [{_number(spread.low)}-{_number(spread.high)}]"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"


def _ratio(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{spread.median:.2f} [{spread.low:.2f}-{spread.high:.2f}]"


def _align(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)
