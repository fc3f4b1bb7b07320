"""Where operators are drawn."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import graph_from_bytes
from compiler.drawing import Node, draw_layout, edges_of, lay_out
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


LARGE = 5_000
SHAPES = {
    "all beside each other": [(0, reader) for reader in range(1, LARGE)],
    "all read by the last": [(i, j) for i in range(LARGE - 1) for j in {i + 1, LARGE - 1}],
    "shortcuts far ahead": [(i, min(LARGE - 1, i + d)) for i in range(LARGE - 1) for d in (1, 999)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_large_graphs_take_no_square_of_their_size(shape: str) -> None:
    """Each took half a minute and more while every cell was asked for."""
    edges = sorted(set(SHAPES[shape]))
    started = time.process_time()
    layout = lay_out(LARGE, edges)
    draw_layout(layout, [Node(0, "", "#fff", "")] * LARGE, "large")
    assert time.process_time() - started < 5
    assert len(set(layout.cells)) == LARGE


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 40))
def test_every_operator_has_a_place_behind_its_makers(seed: int, count: int) -> None:
    graph = graph_from_bytes(random_graph(seed, count), "net")
    edges = edges_of(graph)
    layout = lay_out(len(graph), edges)
    assert len(set(layout.cells)) == len(graph)
    assert all(layout.cells[maker][0] < layout.cells[reader][0] for maker, reader in edges)
