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
    texts = [text for text in svg.iter("text") if text.text != "bound"]
    assert all(list(svg).index(mark) < list(svg).index(text) for text in texts)  # not through them


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


def test_no_line_hides_another() -> None:
    """Lines on one another are drawn in stretches that together leave no gap and do not overlap."""
    points = ((1.0, 5.0), (2.0, 9.0), (3.0, 7.0))
    others = ((1.0, 1.0), (2.0, 2.0), (3.0, 1.0))
    lines = [
        Series(name, of, "blue")
        for name, of in (("a", points), ("b", points), ("x", others), ("c", points))
    ]
    svg = ET.fromstring(line_chart(lines, "TPUs", "ms"))
    paths = [one for one in svg if one.get("class") == "line blue"]
    drawn: set[int] = set()
    for name, path in zip("abxc", paths, strict=True):
        assert path[0].text == name
        if name == "x":
            assert path.get("stroke-dasharray") is None
            continue
        on, off = map(int, str(path.get("stroke-dasharray")).split())
        assert off == 2 * on
        begin = -int(str(path.get("stroke-dashoffset")))
        stretch = {place % (on + off) for place in range(begin, begin + on)}
        assert not stretch & drawn
        drawn |= stretch
    assert len(drawn) == on + off
    radii = [float(str(one.get("r"))) for one in svg if one.tag.endswith("circle")]
    assert radii == [7.5] * 3 + [5.5] * 3 + [3.5] * 6, "rings, the last drawn is the smallest"


def test_axes_count_in_round_steps() -> None:
    def texts(points: tuple[tuple[float, float], ...]) -> list[str]:
        svg = ET.fromstring(line_chart([Series("one", points, "blue", step=True)], "x", "y"))
        return [str(one.text) for one in svg if one.tag.endswith("text")]

    hundred = texts(tuple((float(x), 0.5) for x in range(101)))
    assert [str(x) for x in range(0, 101, 10)] == hundred[-13:-2]
    assert texts(((0.1, 1.0), (0.9, 1.0)))[-11:-2] == [f"{x / 10:g}" for x in range(1, 10)]
    assert texts(((1.0, 1.0), (3.0, 0.0)))[:2] == ["0", "1"], "of whole numbers no parts"
