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
_DASH = 9
"""Length of a stretch of a line that lies on others."""
_NEAR = 2.5
"""Lines that are nearer than this, about their width, hide one another."""


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
    said = "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(said)}">'
    ]
    texts = []  # over the mark, which would go through them
    for index, bar in enumerate(bars):
        y = top + index * (_BAR + _SPACE)
        texts.append(_text(_LABEL - 10, y + 16, bar.label, "end"))
        x = float(_LABEL)
        for part in bar.parts:
            length = part.value * scale
            if length > 0:
                parts.append(
                    f'<rect class="{part.css}" x="{x:.2f}" y="{y}" width="{length:.2f}" '
                    f'height="{_BAR}"><title>{escape(part.note)}</title></rect>'
                )
            x += length
        texts.append(_text(x + 8, y + 16, bar.text, "start"))
    if mark is not None:
        x = _LABEL + mark * scale
        parts.append(f'<path class="mark" d="M{x:.1f} {top - 6}V{height - _SPACE + 4}"/>')
        parts.append(_text(x, top - 9, mark_text, "middle", "small"))
    return "".join([*parts, *texts, "</svg>"])


@dataclass(frozen=True)
class Series:
    """Points to join; ``step`` keeps each value until the next point; ``dots`` joins nothing."""

    name: str
    points: tuple[tuple[float, float], ...]
    css: str
    step: bool = False
    dots: bool = False


def line_chart(series: Sequence[Series], x_title: str, y_title: str, *, height: int = 280) -> str:
    """Lines over a common pair of axes; both start at 0 or below the first point.

    Of lines that lie on one another each is drawn in stretches, so that none hides the others.
    """
    points = [point for one in series for point in one.points]
    if not points:
        return ""
    left, right, top, bottom = 64, _WIDTH - 16, 14, height - 44
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    if x_low == x_high:
        x_low, x_high = x_low - 1, x_high + 1
    ticks = nice_ticks(max(y for _, y in points), whole=all(y == int(y) for _, y in points))
    y_high = ticks[-1]

    def at(point: tuple[float, float]) -> tuple[float, float]:
        x = left + 8 + (point[0] - x_low) / (x_high - x_low) * (right - left - 16)
        return x, bottom - point[1] / y_high * (bottom - top)

    said = "; ".join(f"{one.name}: {one.points[-1][1]:g}" for one in series if one.points)
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(f"{y_title} over {x_title}, at the end: {said}")}">'
    ]
    for tick in ticks:
        level = at((x_low, tick))[1]
        parts.append(f'<path class="grid" d="M{left} {level:.1f}H{right}"/>')
        parts.append(_text(left - 8, level + 4, f"{tick:g}", "end", "small"))
    whole = all(x == int(x) for x, _ in points)
    step = _round_step((x_high - x_low) / 12, whole=whole)
    for number in range(ceil(x_low / step - 1e-9), floor(x_high / step + 1e-9) + 1):
        x = at((number * step, 0))[0]
        parts.append(_text(x, bottom + 18, f"{number * step:g}", "middle", "small"))
    parts.append(_text((left + right) / 2, height - 6, x_title, "middle", "small"))
    parts.append(
        f'<text class="small" text-anchor="middle" transform="translate(14 {(top + bottom) / 2:g}) '
        f'rotate(-90)">{escape(y_title)}</text>'
    )
    places = [[at(point) for point in one.points] for one in series]
    for one, placed, (nth, of) in zip(series, places, _on_one_another(places), strict=True):
        if not one.dots and placed:
            path = f"M{placed[0][0]:.1f} {placed[0][1]:.1f}"
            for across, up in placed[1:]:
                path += f"H{across:.1f}V{up:.1f}" if one.step else f"L{across:.1f} {up:.1f}"
            dashes = (
                f' stroke-dasharray="{_DASH} {_DASH * (of - 1)}" stroke-dashoffset="{-_DASH * nth}"'
            )
            parts.append(
                f'<path class="line {one.css}"{dashes if of > 1 else ""} d="{path}">'
                f"<title>{escape(one.name)}</title></path>"
            )
        if one.dots or not one.step:
            radius = 3.5 + 2 * (of - 1 - nth)  # rings around those that are drawn later
            for (x, y), (_, height_of) in zip(placed, one.points, strict=True):
                parts.append(
                    f'<circle class="dot {one.css}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">'
                    f"<title>{escape(one.name)}: {height_of:g}</title></circle>"
                )
    return "".join([*parts, "</svg>"])


def _on_one_another(lines: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[int, int]]:
    """For each line its number among those that hide one another, and how many these are.

    Two lines do that where half of their points, as many as both have, are at one place.
    """
    groups: list[list[int]] = []
    for index, line in enumerate(lines):
        for group in groups:
            there = dict(lines[group[0]])
            near = sum(x in there and abs(there[x] - y) < _NEAR for x, y in line)
            if line and 2 * near >= min(len(line), len(there)):
                group.append(index)
                break
        else:
            groups.append([index])
    found = {index: (n, len(group)) for group in groups for n, index in enumerate(group)}
    return [found[index] for index in range(len(lines))]


def lines(series: Sequence[Series], x_title: str, y_title: str, *, height: int = 280) -> str:
    """A :func:`line_chart` with its legend before it."""
    key = legend([(one.css, one.name) for one in series])
    return key + line_chart(series, x_title, y_title, height=height)


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


def nice_ticks(highest: float, *, whole: bool = False) -> list[float]:
    """From 0 to at least ``highest`` in up to eight round steps, of ``whole`` numbers or not."""
    if highest <= 0:
        return [0.0, 1.0]
    step = _round_step(highest / 5, whole=whole)
    return [round(i * step, 12) for i in range(ceil(highest / step - 1e-9) + 1)]


def _round_step(least: float, *, whole: bool) -> float:
    """The next round number, among whole ones if need be."""
    if whole and least <= 1:
        return 1.0
    power = 10.0 ** floor(log10(least))
    steps = (power * one for one in (1, 2, 2.5, 5, 10))
    return next(one for one in steps if one >= least and not (whole and one % 1))


def _text(x: float, y: float, text: str, anchor: str, css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
