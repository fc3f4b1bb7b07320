"""Charts: what is drawn is what was given."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from compiler.drawing.charts import (
    Bar,
    Part,
    Series,
    legend,
    line_chart,
    nice_ticks,
    stacked_bars,
)


def test_bars_are_to_scale() -> None:
    bars = [
        Bar("one", (Part("a", 1.0, "a", "a: 1"), Part("b", 3.0, "b", "b: 3")), "4"),
        Bar("two", (Part("a", 2.0, "a", "<2>"), Part("b", 0.0, "b", "none")), "2"),
    ]
    svg = ET.fromstring(stacked_bars(bars, mark=4.0, mark_text="bound"))
    widths = [float(r.attrib["width"]) for r in svg.iter("rect")]
    assert widths[1] == pytest.approx(3 * widths[0], abs=0.02)
    assert widths[2] == pytest.approx(2 * widths[0], abs=0.02)
    assert len(widths) == 3
    mark = next(p for p in svg.iter("path") if p.attrib["class"] == "mark")
    end = 150 + widths[0] + widths[1]
    assert float(re.findall(r"M([\d.]+)", mark.attrib["d"])[0]) == pytest.approx(end, abs=0.1)


def test_nothing_to_draw() -> None:
    ET.fromstring(stacked_bars([Bar("empty", (Part("a", 0.0, "a", ""),), "0")]))
    assert line_chart([Series("none", (), "blue")], "x", "y") == ""


def test_lines_go_up_with_their_values() -> None:
    points = ((1.0, 10.0), (2.0, 20.0), (8.0, 35.0))
    svg = ET.fromstring(line_chart([Series("rate", points, "blue")], "TPUs", "items & more"))
    dots = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in svg.iter("circle")]
    assert len(dots) == 3
    assert dots[0][0] < dots[1][0] < dots[2][0]
    assert (dots[0][1] - dots[1][1]) / (dots[1][1] - dots[2][1]) == pytest.approx(2 / 3, rel=0.02)
    ET.fromstring(line_chart([Series("one point", ((3.0, 1.0),), "blue", step=True)], "x", "y"))


def test_ticks_are_round_and_reach_the_top() -> None:
    for highest in (0.003, 0.9, 1.0, 7.0, 36.0, 999.0, 1234567.0):
        ticks = nice_ticks(highest)
        assert ticks[0] == 0
        assert highest <= ticks[-1] < 1.5 * highest + 1e-9
        assert 3 <= len(ticks) <= 8
    assert nice_ticks(0.0) == [0.0, 1.0]


def test_legend_escapes() -> None:
    ET.fromstring(legend([("#123456", "a < b"), ("compute", "compute")]))
