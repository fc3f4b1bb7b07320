"""The graph as SVG, every operator in the colour of its segment."""

from __future__ import annotations

from collections.abc import Sequence

from compiler import Graph, Operator
from compiler.drawing import COLOURS, Node, draw_layout, edges_of, lay_out
from partitioner.problem import Range, operators_of


def colour(segment: int) -> str:
    """The colour of a segment, by its number."""
    return COLOURS[segment % len(COLOURS)]


def _number(operator: Operator) -> str:
    here, there = operator.index, operator.file_index
    return f"{here}" if here == there else f"{here} (#{there} in the file)"


def draw_graph(graph: Graph, segments: Sequence[Range]) -> str:
    """An ``<svg>`` of all operators and tensors; what a cut crosses is drawn dashed and heavy."""
    segment = [0] * len(graph)
    for number, runs in enumerate(segments):
        for operator in operators_of(runs):
            segment[operator] = number
    nodes = [
        Node(
            group=segment[o.index],
            label=str(segment[o.index]),
            fill=colour(segment[o.index]),
            note=f"operator {_number(o)}: {o.kind}, segment {segment[o.index]}, "
            f"{graph.parameter_bytes(o.index):,} parameter bytes",
        )
        for o in graph.operators
    ]
    layout = lay_out(len(graph), edges_of(graph))
    return draw_layout(layout, nodes, f"{len(graph)} operators coloured by segment")
