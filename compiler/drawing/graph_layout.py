"""Where to draw every operator of a graph: layers from left to right, branches side by side."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
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

    def is_free(self, row: int, first: int, last: int) -> bool:
        """Whether no operator stands in a row between two layers."""
        layers = self._layers_by_row.get(row, [])
        place = bisect_right(layers, first)
        return place == len(layers) or layers[place] >= last

    @cached_property
    def _layers_by_row(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for layer, row in sorted(self.cells):
            found.setdefault(row, []).append(layer)
        return found

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
    rows: dict[int, _Row] = {}
    row = [0] * count
    layer_before = -1
    skips: dict[int, int] = {}
    for index in sorted(range(count), key=lambda i: (layer[i], i)):
        if layer[index] != layer_before:
            layer_before, skips = layer[index], {}
        wanted = _trunk([row[b] for b in before[index]])
        row[index] = _free_row(layer[index], wanted, index, rows, skips)
        found = rows.setdefault(row[index], _Row())
        found.last_layer = layer[index]
        if behind[index]:
            last = max(behind[index], key=lambda r: layer[r])
            found.ways.append((layer[index] + 1, layer[last], last))
    return Layout(tuple(zip(layer, row, strict=True)), tuple(edges))


@dataclass
class _Row:
    """What is known of a row while layers are filled one after the other.

    ``last_layer`` is the last in which an operator stands; ``ways`` are kept free: from a layer to
    before another, for the operator there.
    """

    last_layer: int = -1
    ways: list[tuple[int, int, int]] = field(default_factory=list)

    def kept_for(self, layer: int) -> int | None:
        """For whom this row is kept free in a layer, if it is; the first who asked counts."""
        self.ways = [way for way in self.ways if way[1] > layer]
        return next((owner for start, _, owner in self.ways if start <= layer), None)


def _trunk(rows: Sequence[int]) -> int:
    """Of the rows that lead to an operator, the one nearest to the trunk."""
    return min(rows, key=lambda r: (abs(r), r), default=0)


def _free_row(
    layer: int, wanted: int, index: int, rows: dict[int, _Row], skips: dict[int, int]
) -> int:
    """The nearest free row, below before above.

    ``skips`` says how far from a wanted row all rows of this layer are taken already.
    """
    distance = skips.get(wanted, 0)
    all_taken = True
    while True:
        for row in dict.fromkeys((wanted + distance, wanted - distance)):
            found = rows.get(row)
            if found is None or found.last_layer != layer:
                all_taken = False
                if found is None or found.kept_for(layer) in (None, index):
                    return row
        distance += 1
        if all_taken:
            skips[wanted] = distance
