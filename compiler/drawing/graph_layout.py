"""Where to draw every operator of a graph: layers from left to right, branches side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from compiler.graph import Graph

Edge = tuple[int, int]
"""From the operator that makes a tensor to one that reads it."""

Cell = tuple[int, int]
"""Layer and row; row 0 is the trunk, negative rows lie above it."""


@dataclass(frozen=True)
class Layout:
    """The cell of every operator, by index, and the edges between them."""

    cells: tuple[Cell, ...]
    edges: tuple[Edge, ...]

    @cached_property
    def occupied(self) -> frozenset[Cell]:
        """Cells in which an operator stands."""
        return frozenset(self.cells)

    @property
    def layers(self) -> int:
        return 1 + max((layer for layer, _ in self.cells), default=-1)


def edges_of(graph: Graph) -> tuple[Edge, ...]:
    """Every pair of operators joined by a tensor, ascending, each once."""
    found = set()
    for operator in graph.operators:
        for tensor in operator.inputs:
            maker = graph.makers[tensor] if tensor >= 0 else None
            if maker is not None:
                found.add((maker, operator.index))
    return tuple(sorted(found))


def lay_out(count: int, edges: Sequence[Edge]) -> Layout:
    """Place ``count`` operators in execution order.

    The layer is the longest way from an input.  An operator stays in the row of the one before it
    if that is free; the way of a tensor that is needed several layers later is kept free, so that
    a shortcut runs straight while the branch it spans swings out.
    """
    before: list[list[int]] = [[] for _ in range(count)]
    behind: list[list[int]] = [[] for _ in range(count)]
    for maker, reader in edges:
        before[reader].append(maker)
        behind[maker].append(reader)
    layer = [0] * count
    for index in range(count):
        layer[index] = 1 + max((layer[b] for b in before[index]), default=-1)
    taken: set[Cell] = set()
    reserved: dict[Cell, int] = {}
    row = [0] * count
    for index in sorted(range(count), key=lambda i: (layer[i], i)):
        wanted = _trunk([row[b] for b in before[index]])
        row[index] = _free_row(layer[index], wanted, index, taken, reserved)
        taken.add((layer[index], row[index]))
        if behind[index]:
            last = max(behind[index], key=lambda r: layer[r])
            for way in range(layer[index] + 1, layer[last]):
                reserved.setdefault((way, row[index]), last)
    return Layout(tuple(zip(layer, row, strict=True)), tuple(edges))


def _trunk(rows: Sequence[int]) -> int:
    """Of the rows that lead to an operator, the one nearest to the trunk."""
    return min(rows, key=lambda r: (abs(r), r), default=0)


def _free_row(
    layer: int, wanted: int, index: int, taken: set[Cell], reserved: dict[Cell, int]
) -> int:
    """The nearest free row, below before above."""
    distance = 0
    while True:
        for row in dict.fromkeys((wanted + distance, wanted - distance)):
            cell = (layer, row)
            if cell not in taken and reserved.get(cell, index) == index:
                return row
        distance += 1
