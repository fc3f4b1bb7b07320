"""The graph as SVG, every operator in the colour of its segment."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from compiler import Graph
from partitioner.problem import Range, operators_of
from partitioner.reporting.graph_layout import Edge, Layout, edges_of, lay_out

COLOURS = (
    "#4e79c7",
    "#c97b1a",
    "#43915a",
    "#cf524d",
    "#8e6cc0",
    "#2b9ca1",
    "#a8861c",
    "#c05a98",
    "#8a6d5a",
    "#66758c",
)
"""Of segments, in turn; told apart by those who see few colours through the numbers drawn too."""

_STEP, _ROW, _NODE = 26, 24, 17
_LAYERS_PER_BAND = 42
_MARGIN = 14


def colour(segment: int) -> str:
    """The colour of a segment, by its number."""
    return COLOURS[segment % len(COLOURS)]


def draw_graph(graph: Graph, segments: Sequence[Range]) -> str:
    """An ``<svg>`` of all operators and tensors; what a cut crosses is drawn dashed and heavy."""
    layout = lay_out(len(graph), edges_of(graph))
    segment = [0] * len(graph)
    for number, runs in enumerate(segments):
        for operator in operators_of(runs):
            segment[operator] = number
    notes = [
        f"operator {o.index}: {o.kind}, segment {segment[o.index]}, "
        f"{graph.parameter_bytes(o.index):,} parameter bytes"
        for o in graph.operators
    ]
    return draw_layout(layout, segment, notes)


def draw_layout(layout: Layout, segment: Sequence[int], notes: Sequence[str]) -> str:
    """The same for a layout: ``segment`` and hover text by operator.

    Long graphs are broken into bands; an edge into another band leaves at the right and comes
    back at the left.
    """
    bands = -(-layout.layers // _LAYERS_PER_BAND)
    width = min(layout.layers, _LAYERS_PER_BAND) * _STEP + 2 * _MARGIN
    tops, height = [], 0.0
    for band in range(bands):
        rows = [row for layer, row in layout.cells if layer // _LAYERS_PER_BAND == band]
        tops.append(height + _MARGIN - (min(rows) - 0.5) * _ROW)
        height += (max(rows) - min(rows) + 1) * _ROW + 2 * _MARGIN

    def place(index: int) -> tuple[float, float, int]:
        layer, row = layout.cells[index]
        band = layer // _LAYERS_PER_BAND
        x = _MARGIN + (layer % _LAYERS_PER_BAND + 0.5) * _STEP
        return x, tops[band] + row * _ROW, band

    parts = [
        f'<svg class="graph" viewBox="0 0 {width} {height:g}" role="img" '
        f'style="max-width:{width * 1.25:.0f}px" '
        f'aria-label="{len(layout.cells)} operators coloured by segment">'
    ]
    for edge in layout.edges:
        parts.append(_edge(edge, place(edge[0]), place(edge[1]), segment, layout, width))
    for index, note in enumerate(notes):
        x, y, _ = place(index)
        parts.append(
            f"<g><title>{escape(note)}</title>"
            f'<rect x="{x - _NODE / 2:g}" y="{y - _NODE / 2:g}" width="{_NODE}" height="{_NODE}" '
            f'rx="4" fill="{colour(segment[index])}"/>'
            f'<text class="node" x="{x:g}" y="{y + 3.5:g}">{segment[index]}</text></g>'
        )
    parts.append("</svg>")
    return "".join(parts)


def _edge(
    edge: Edge,
    start: tuple[float, float, int],
    end: tuple[float, float, int],
    segment: Sequence[int],
    layout: Layout,
    width: int,
) -> str:
    (x1, y1, from_band), (x2, y2, to_band) = start, end
    half = _NODE / 2
    x1, x2 = x1 + half, x2 - half
    kind = "cut" if segment[edge[0]] != segment[edge[1]] else "edge"
    if from_band != to_band:
        return f'<path class="{kind}" d="M{x1:g} {y1:g}H{width - 2}M2 {y2:g}H{x2:g}"/>'
    if y1 == y2 and not _passes_a_node(edge, layout):
        return f'<path class="{kind}" d="M{x1:g} {y1:g}H{x2:g}"/>'
    if layout.cells[edge[1]][0] - layout.cells[edge[0]][0] == 1:
        bend = (x1 + x2) / 2
        curve = f"M{x1:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x2:g} {y2:g}"
        return f'<path class="{kind}" d="{curve}"/>'
    # Out of its row within the gap behind its maker, along the row that is free, and in again.
    lane = y2 if _row_is_free(edge, layout, layout.cells[edge[1]][1]) else y1
    if lane == y1 and not _row_is_free(edge, layout, layout.cells[edge[0]][1]):
        lane = min(y1, y2) - _ROW / 2
    turn = _STEP - _NODE
    return (
        f'<path class="{kind}" d="M{x1:g} {y1:g}'
        f"C{x1 + turn / 2:g} {y1:g} {x1 + turn / 2:g} {lane:g} {x1 + turn:g} {lane:g}"
        f"H{x2 - turn:g}"
        f'C{x2 - turn / 2:g} {lane:g} {x2 - turn / 2:g} {y2:g} {x2:g} {y2:g}"/>'
    )


def _passes_a_node(edge: Edge, layout: Layout) -> bool:
    return not _row_is_free(edge, layout, layout.cells[edge[0]][1])


def _row_is_free(edge: Edge, layout: Layout, row: int) -> bool:
    """Whether no operator stands in ``row`` between the two ends of ``edge``."""
    first, last = layout.cells[edge[0]][0], layout.cells[edge[1]][0]
    occupied = layout.occupied
    return not any((layer, row) in occupied for layer in range(first + 1, last))
