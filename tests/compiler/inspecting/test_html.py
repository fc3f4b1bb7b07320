"""The page is whole, fetches nothing, and shows every operator."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import compile_graph, graph_from_bytes
from compiler.inspecting import compare, describe_bytes, models_page
from tests.tiny import Tiny, tiny_chain
from zoo.random_graph import random_graph

VOID = {"meta", "link", "br"}


class Checker(HTMLParser):
    """Opened elements are closed in order; links lead to places that are there."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.classes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)
        known = dict(attrs)
        self.classes.append(known.get("class") or "")
        if "id" in known:
            assert known["id"] not in self.anchors
            self.anchors.add(known["id"] or "")
        if tag == "a":
            self.links.add((known["href"] or "").removeprefix("#"))
        assert tag not in ("script", "img", "iframe")
        assert "src" not in known

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    assert checker.links <= checker.anchors
    assert not re.search(r"https?:|url\(|@import", text)
    return checker


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_a_page_shows_every_operator(seed: int, count: int) -> None:
    data = random_graph(seed, count)
    model = describe_bytes(data, "net.tflite")
    executable = describe_bytes(
        compile_graph(graph_from_bytes(data, "net.tflite")).data, "net_edgetpu.tflite"
    )
    for one in (model, executable):
        text = models_page([one])
        checker = checked(text)
        assert len(checker.anchors) == len(one.main.operators)
        assert checker.links == checker.anchors or not one.main.operators
        left = one.main.count("cpu")
        assert checker.classes.count("cpu") == left
        assert f"<b>{left}</b><span>operators on the CPU" in text


def test_reasons_are_on_the_drawing() -> None:
    tiny = Tiny()
    x, y, z = (tiny.tensor(name) for name in "xyz")
    tiny.relu(x, y)
    tiny.operator("HARD_SWISH", [y], [z])
    text = models_page([describe_bytes(tiny.ends([x], [z]).build(), "net.tflite")])
    reason = "not among the operators of the Edge TPU"
    assert f"<title>#1 HARD_SWISH: CPU: {reason}" in text
    drawn = text.split("<h2>Operators")[0]
    assert "Why on the CPU" in drawn
    assert drawn.count(reason) >= 2


def test_names_cannot_break_out() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("<script>alert(1)</script>"), tiny.tensor('"><img src=x>&')
    tiny.relu(x, y)
    model = describe_bytes(tiny.ends([x], [y]).build(), "a<b>.tflite", digests=True)
    checked(models_page([model, model], compare(model, model)))


def test_large_graphs_are_drawn_once_and_in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.inspecting.html._MOST_TWICE", 59)
    text = models_page([describe_bytes(tiny_chain(60), "long.tflite")])
    checked(text)
    assert text.count('<svg class="graph') == 1
    assert '<div class="tall">' in text
