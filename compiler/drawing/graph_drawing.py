"""A graph as SVG, every operator in the colour of its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from compiler.drawing.graph_layout import Edge, Layout

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
"""Of groups, in turn; told apart by those who see few colours through the labels drawn too."""

_STEP, _ROW, _NODE = 26, 24, 17

LAYERS_PER_BAND = 42
"""What fits the width of a page."""

_MARGIN = 14


@dataclass(frozen=True)
class Node:
    """One operator as it is drawn.

    Edges between nodes of different ``group`` are drawn as crossing a cut.  ``label`` is what fits
    into the node, ``note`` its hover text, ``link`` a place on the page (``#...``; empty: none).
    Those that are ``angular`` are told from the others without colours, too.
    """

    group: int
    label: str
    fill: str
    note: str
    link: str = ""
    angular: bool = False


def draw_layout(
    layout: Layout,
    nodes: Sequence[Node],
    label: str,
    *,
    layers_per_band: int = LAYERS_PER_BAND,
    css: str = "",
) -> str:
    """An ``<svg>`` of all operators and tensors; what a cut crosses is drawn dashed and heavy.

    ``nodes`` are in the order of the layout's cells; ``label`` tells screen readers what is drawn;
    ``css`` is a class beside ``graph``.  Long graphs are broken into bands; an edge into another
    band leaves at the right and comes back at the left.
    """
    bands = -(-layout.layers // layers_per_band)
    width = min(layout.layers, layers_per_band) * _STEP + 2 * _MARGIN
    lowest, highest = [0] * bands, [0] * bands
    for band, rows in _rows(layout, layers_per_band).items():
        lowest[band], highest[band] = min(rows), max(rows)
    tops, height = [], 0.0
    for low, high in zip(lowest, highest, strict=True):
        tops.append(height + _MARGIN - (low - 0.5) * _ROW)
        height += (high - low + 1) * _ROW + 2 * _MARGIN

    def place(index: int) -> tuple[float, float, int]:
        layer, row = layout.cells[index]
        band = layer // layers_per_band
        x = _MARGIN + (layer % layers_per_band + 0.5) * _STEP
        return x, tops[band] + row * _ROW, band

    parts = [
        f'<svg class="{f"graph {css}".strip()}" viewBox="0 0 {width} {height:g}" role="img" '
        f'style="max-width:{width * 1.25:.0f}px" aria-label="{escape(label)}">'
    ]
    for edge in layout.edges:
        is_cut = nodes[edge[0]].group != nodes[edge[1]].group
        parts.append(_edge(edge, place(edge[0]), place(edge[1]), is_cut, layout, width))
    for index, node in enumerate(nodes):
        x, y, _ = place(index)
        parts.append(_node(node, x, y))
    parts.append("</svg>")
    return "".join(parts)


def _rows(layout: Layout, layers_per_band: int) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for layer, row in layout.cells:
        rows.setdefault(layer // layers_per_band, []).append(row)
    return rows


def _node(node: Node, x: float, y: float) -> str:
    small = (
        f' style="font-size:{_NODE / len(node.label) * 1.4:.1f}px"' if len(node.label) > 2 else ""
    )
    drawn = (
        f"<g><title>{escape(node.note)}</title>"
        f'<rect x="{x - _NODE / 2:g}" y="{y - _NODE / 2:g}" width="{_NODE}" height="{_NODE}" '
        f'rx="{0 if node.angular else 4}" fill="{node.fill}"/>'
        f'<text class="node" x="{x:g}" y="{y + 3.5:g}"{small}>{escape(node.label)}</text></g>'
    )
    return f'<a href="{escape(node.link)}">{drawn}</a>' if node.link else drawn


def _edge(
    edge: Edge,
    start: tuple[float, float, int],
    end: tuple[float, float, int],
    is_cut: bool,
    layout: Layout,
    width: int,
) -> str:
    (x1, y1, from_band), (x2, y2, to_band) = start, end
    half = _NODE / 2
    x1, x2 = x1 + half, x2 - half
    kind = "cut" if is_cut else "edge"
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
    return layout.is_free(row, layout.cells[edge[0]][0], layout.cells[edge[1]][0])
