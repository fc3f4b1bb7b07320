"""Small charts as SVG text, styled by the classes of the page they stand in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

_WIDTH = 900
_LABEL = 150
_VALUE = 160
_BAR, _SPACE = 24, 10


@dataclass(frozen=True)
class Part:
    """A piece of a stacked bar: its name, its length, the class that colours it, hover text."""

    name: str
    value: float
    css: str
    note: str


@dataclass(frozen=True)
class Bar:
    """A stacked bar with a label before and a text behind it."""

    label: str
    parts: tuple[Part, ...]
    text: str


def stacked_bars(bars: Sequence[Bar], *, mark: float | None = None, mark_text: str = "") -> str:
    """Bars one below another to a common scale; ``mark`` is a dashed line across all."""
    longest = max([sum(p.value for p in bar.parts) for bar in bars] + [mark or 0.0]) or 1.0
    scale = (_WIDTH - _LABEL - _VALUE) / longest
    top = 22 if mark is not None else 4
    height = top + len(bars) * (_BAR + _SPACE)
    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img">']
    for index, bar in enumerate(bars):
        y = top + index * (_BAR + _SPACE)
        parts.append(_text(_LABEL - 10, y + 16, bar.label, "end"))
        x = float(_LABEL)
        for part in bar.parts:
            length = part.value * scale
            if length > 0:
                parts.append(
                    f'<rect class="{part.css}" x="{x:.2f}" y="{y}" width="{length:.2f}" '
                    f'height="{_BAR}"><title>{escape(part.note)}</title></rect>'
                )
            x += length
        parts.append(_text(x + 8, y + 16, bar.text, "start"))
    if mark is not None:
        x = _LABEL + mark * scale
        parts.append(f'<path class="mark" d="M{x:.1f} {top - 6}V{height - _SPACE + 4}"/>')
        parts.append(_text(x, top - 9, mark_text, "middle", "small"))
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class Series:
    """Points to join; ``step`` keeps each value until the next point; ``dots`` joins nothing."""

    name: str
    points: tuple[tuple[float, float], ...]
    css: str
    step: bool = False
    dots: bool = False


def line_chart(series: Sequence[Series], x_title: str, y_title: str, *, height: int = 280) -> str:
    """Lines over a common pair of axes; both start at 0 or below the first point."""
    points = [point for one in series for point in one.points]
    if not points:
        return ""
    left, right, top, bottom = 64, _WIDTH - 16, 14, height - 44
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    if x_low == x_high:
        x_low, x_high = x_low - 1, x_high + 1
    ticks = nice_ticks(max(y for _, y in points))
    y_high = ticks[-1]

    def at(point: tuple[float, float]) -> tuple[float, float]:
        x = left + 8 + (point[0] - x_low) / (x_high - x_low) * (right - left - 16)
        return x, bottom - point[1] / y_high * (bottom - top)

    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img">']
    for tick in ticks:
        level = at((x_low, tick))[1]
        parts.append(f'<path class="grid" d="M{left} {level:.1f}H{right}"/>')
        parts.append(_text(left - 8, level + 4, f"{tick:g}", "end", "small"))
    step = max(1, ceil((x_high - x_low) / 12))
    for value in range(ceil(x_low), floor(x_high) + 1, step):
        parts.append(_text(at((value, 0))[0], bottom + 18, str(value), "middle", "small"))
    parts.append(_text((left + right) / 2, height - 6, x_title, "middle", "small"))
    parts.append(
        f'<text class="small" text-anchor="middle" transform="translate(14 {(top + bottom) / 2:g}) '
        f'rotate(-90)">{escape(y_title)}</text>'
    )
    for one in series:
        placed = [at(point) for point in one.points]
        if not one.dots and placed:
            path = f"M{placed[0][0]:.1f} {placed[0][1]:.1f}"
            for across, up in placed[1:]:
                path += f"H{across:.1f}V{up:.1f}" if one.step else f"L{across:.1f} {up:.1f}"
            parts.append(f'<path class="line {one.css}" d="{path}"/>')
        if one.dots or not one.step:
            for (x, y), (_, height_of) in zip(placed, one.points, strict=True):
                parts.append(
                    f'<circle class="dot {one.css}" cx="{x:.1f}" cy="{y:.1f}" r="3.5">'
                    f"<title>{escape(one.name)}: {height_of:g}</title></circle>"
                )
    return "".join([*parts, "</svg>"])


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Coloured squares with names: ``(class or colour starting with #, name)``."""
    items = []
    for key, name in entries:
        fill = f'fill="{key}"' if key.startswith("#") else f'class="{key}"'
        items.append(
            f'<span><svg viewBox="0 0 12 12" class="key"><rect {fill} width="12" height="12" '
            f'rx="2"/></svg>{escape(name)}</span>'
        )
    return f'<p class="legend">{"".join(items)}</p>'


def nice_ticks(highest: float) -> list[float]:
    """From 0 to at least ``highest`` in four to eight round steps."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / 5
    power = 10.0 ** floor(log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)
    return [round(i * step, 12) for i in range(ceil(highest / step - 1e-9) + 1)]


def _text(x: float, y: float, text: str, anchor: str, css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
