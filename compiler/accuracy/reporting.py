"""Measured latencies beside predicted ones: as rows, as text, as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.accuracy.fitting import Numbers, fit, numbers_in_use
from compiler.accuracy.measured import Measured
from compiler.accuracy.predicting import Compiled, compiled

_STEPS = 4
"""From the best numbers of all it is not far to the best without one network."""

_FOLDS = 8
"""Chains of equal layers are alike, so that one is no test; an eighth is left out at once."""


@dataclass(frozen=True)
class Row:
    """One measurement, what the product predicts, and what it would without this network."""

    measured: Measured
    predicted_ms: float
    held_out_ms: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted_ms / self.measured.latency_ms - 1

    @property
    def held_out_error(self) -> float:
        """Relative error with numbers fitted without this network."""
        return self.held_out_ms / self.measured.latency_ms - 1

    def within(self, spread: float) -> bool:
        """Whether the held-out prediction's interval, by a factor ``1 + spread``, holds it."""
        return abs(math.log1p(self.held_out_error)) <= math.log1p(spread)


def rows(
    measured: Sequence[Measured],
    networks: Callable[[str], Compiled] = compiled,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Predict every measurement, with the numbers in use and without its network."""
    in_use, best = numbers_in_use(), fit(measured, networks)
    without: dict[str, Numbers] = {}
    groups = [_group(one, index) for index, one in enumerate(measured)]
    for group in dict.fromkeys(groups):
        progress(f"fitting without {group}")
        others = [one for one, its in zip(measured, groups, strict=True) if its != group]
        without[group] = fit(others, networks, best, _STEPS)
    return [
        Row(
            one,
            in_use.timing(networks(one.network), one).total_ns / 1e6,
            without[group].timing(networks(one.network), one).total_ns / 1e6,
        )
        for one, group in zip(measured, groups, strict=True)
    ]


def _group(measured: Measured, index: int) -> str:
    if not measured.is_synthetic:
        return measured.network
    return f"{measured.family} {index % _FOLDS + 1} of {_FOLDS}"


def spread_of(errors: Iterable[float], share: float = 0.8) -> float:
    """The factor above 1 within which this share of measured latencies lies; 0 for none."""
    logs = sorted(abs(math.log1p(error)) for error in errors)
    if not logs:
        return 0.0
    return math.expm1(logs[min(len(logs) - 1, math.ceil(share * (len(logs) + 1)) - 1)])


def latency_report(found: Sequence[Row]) -> str:
    """Every row, and the errors by host, as Markdown."""
    lines = [
        "| network | host | measured | predicted | error | held out | error | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    real = [row for row in found if not row.measured.is_synthetic]
    for row in sorted(real, key=lambda r: (r.measured.host, r.measured.network)):
        one = row.measured
        clock = "" if one.clock_mhz == 500 else f" at {one.clock_mhz} MHz"
        lines.append(
            f"| {one.network} | {one.host}{clock} | {one.latency_ms:.2f} ms "
            f"| {row.predicted_ms:.2f} ms | {row.error:+.0%} | {row.held_out_ms:.2f} ms "
            f"| {row.held_out_error:+.0%} | {one.source} |"
        )
    lines += ["", *_summary(found)]
    return "\n".join(lines)


def _summary(found: Sequence[Row]) -> list[str]:
    lines = [
        "| | rows | median | p90 | worst | held out: median | p90 | worst | 80 % within |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    real = [row for row in found if not row.measured.is_synthetic]
    groups = {"all hosts": real}
    for row in real:
        groups.setdefault(row.measured.host, []).append(row)
    for row in found:
        if row.measured.is_synthetic:
            groups.setdefault(f"{row.measured.family}, {row.measured.host}", []).append(row)
    for name, members in groups.items():
        if members:
            cells = [*_figures(row.error for row in members)]
            cells += _figures(row.held_out_error for row in members)
            spread = spread_of(row.held_out_error for row in members)
            lines.append(
                f"| {name} | {len(members)} | "
                + " | ".join(cells)
                + f" | x or / {1 + spread:.2f} |"
            )
    return lines


def in_a_sentence(found: Sequence[Row]) -> str:
    """How far off predictions are, of networks and not of chains, held out."""
    real = [row for row in found if not row.measured.is_synthetic]
    networks = {row.measured.network for row in real}
    hosts = {row.measured.host for row in real}
    median, most, worst = np.percentile(np.abs([row.held_out_error for row in real]), (50, 90, 100))
    spread = spread_of(row.held_out_error for row in real)
    return "\n".join(
        [
            f"Times come from a model fitted to {len(real)} published latencies of {len(networks)} "
            f"networks on {len(hosts)} hosts.",
            f"Of a network it was not fitted to it is {median:.0%} off in the median, within a "
            f"factor of {1 + spread:.2f}",
            f"in four of five cases, {most:.0%} off at the 90th percentile and {worst:.0%} at "
            "worst.",
        ]
    )


def _figures(errors: Iterable[float]) -> list[str]:
    absolute = np.abs(list(errors))
    return [f"{value:.1%}" for value in np.percentile(absolute, (50, 90, 100))]


_SIDE = 640
_MARGIN = 60


def plot(found: Sequence[Row]) -> str:
    """Predicted over measured latency, both logarithmic, as an SVG picture."""
    values = [v for row in found for v in (row.measured.latency_ms, row.held_out_ms)]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def place(value: float) -> float:
        share = (math.log10(value) - low) / (high - low)
        return _MARGIN + share * (_SIDE - 2 * _MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {_SIDE}" '
        'font-family="sans-serif" font-size="13">',
        "<style>svg{background:#fff;color:#222}text{fill:#222}.axis{stroke:#999}"
        ".band{stroke:#999;stroke-dasharray:4}.real{fill:#1f6feb}.chain{fill:#c9a227}</style>",
    ]
    for power in range(low, high + 1):
        at = place(10.0**power)
        parts += [
            f'<text x="{at:.0f}" y="{_SIDE - _MARGIN + 20}" text-anchor="middle">'
            f"{10.0**power:g} ms</text>",
            f'<text x="{_MARGIN - 8}" y="{_SIDE - at + 4:.0f}" text-anchor="end">'
            f"{10.0**power:g}</text>",
        ]
    for factor, kind in ((1.0, "axis"), (1.25, "band"), (0.8, "band")):
        first, last = 10.0**low * max(1, 1 / factor), 10.0**high * min(1, 1 / factor)
        parts.append(
            f'<line class="{kind}" x1="{place(first):.1f}" x2="{place(last):.1f}" '
            f'y1="{_SIDE - place(first * factor):.1f}" y2="{_SIDE - place(last * factor):.1f}"/>'
        )
    for row in found:
        one = row.measured
        kind = "chain" if one.is_synthetic else "real"
        parts.append(
            f'<circle class="{kind}" r="4" cx="{place(one.latency_ms):.1f}" '
            f'cy="{_SIDE - place(row.held_out_ms):.1f}"><title>{one.network}, {one.host}: '
            f"{one.latency_ms:g} ms measured, {row.held_out_ms:.3g} ms predicted</title></circle>"
        )
    middle = _SIDE // 2
    parts += [
        f'<text x="{middle}" y="{_SIDE - 12}" text-anchor="middle">measured</text>',
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">'
        "predicted, network held out</text>",
        f'<text x="{_MARGIN}" y="28">blue: networks, yellow: chains of equal layers; dashed: '
        "a fifth less, a quarter more</text>",
        "</svg>",
    ]
    return "\n".join(parts)
