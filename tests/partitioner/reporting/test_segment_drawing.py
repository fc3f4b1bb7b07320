"""The graph, drawn by segment."""

from __future__ import annotations

import re

from compiler import graph_from_bytes
from compiler.drawing import edges_of
from partitioner.reporting.segment_drawing import draw_graph
from zoo.random_graph import random_graph


def test_drawing_shows_every_operator_edge_and_cut() -> None:
    graph = graph_from_bytes(random_graph(3, 60), "net")
    svg = draw_graph(graph, ((0, 20), (20, 40), (40, 60)))
    assert svg.count("<rect") == len(graph)
    assert len(re.findall('class="(?:edge|cut)"', svg)) == len(edges_of(graph))
    crossing = [e for e in edges_of(graph) if any(e[0] < cut <= e[1] for cut in (20, 40))]
    assert svg.count('class="cut"') == len(crossing)
    assert f"operator 25: {graph.operators[25].kind}, segment 1" in svg
