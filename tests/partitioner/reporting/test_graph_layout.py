"""Where operators are drawn."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import graph_from_bytes
from partitioner.reporting.graph_drawing import draw_graph
from partitioner.reporting.graph_layout import edges_of, lay_out
from zoo.random_graph import random_graph


def test_a_chain_is_a_line() -> None:
    assert lay_out(4, [(0, 1), (1, 2), (2, 3)]).cells == ((0, 0), (1, 0), (2, 0), (3, 0))


def test_a_shortcut_runs_straight() -> None:
    """0 is needed by 1 and by 3; the branch over 1 and 2 swings out."""
    layout = lay_out(4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert layout.cells == ((0, 0), (1, 1), (2, 1), (3, 0))


def test_branches_lie_side_by_side() -> None:
    layout = lay_out(5, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)])
    assert [layer for layer, _ in layout.cells] == [0, 1, 1, 1, 2]
    assert {row for layer, row in layout.cells if layer == 1} == {-1, 0, 1}
    assert layout.cells[4] == (2, 0)


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 40))
def test_every_operator_has_a_place_behind_its_makers(seed: int, count: int) -> None:
    graph = graph_from_bytes(random_graph(seed, count), "net")
    edges = edges_of(graph)
    layout = lay_out(len(graph), edges)
    assert len(set(layout.cells)) == len(graph)
    assert all(layout.cells[maker][0] < layout.cells[reader][0] for maker, reader in edges)


def test_drawing_shows_every_operator_edge_and_cut() -> None:
    graph = graph_from_bytes(random_graph(3, 60), "net")
    svg = draw_graph(graph, ((0, 20), (20, 40), (40, 60)))
    assert svg.count("<rect") == len(graph)
    assert len(re.findall('class="(?:edge|cut)"', svg)) == len(edges_of(graph))
    crossing = [e for e in edges_of(graph) if any(e[0] < cut <= e[1] for cut in (20, 40))]
    assert svg.count('class="cut"') == len(crossing)
    assert f"operator 25: {graph.operators[25].kind}, segment 1" in svg
