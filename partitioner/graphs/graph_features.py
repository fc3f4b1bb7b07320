"""The features of a graph's segments, from what the compiler plans before it compiles.

Where each operator would run depends only on where the segment begins, and so does which operator
brings a tensor into the segment or makes it leave.  So all features but one are sums that can be
looked up (:mod:`partitioner.graphs.sums`).  The one is what is streamed: parameters beyond the
memory, by the rule the compiler allocates with.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from compiler.graph import Graph
from partitioner.graphs.crossings import entering, leaving
from partitioner.graphs.operator_facts import Behind, OperatorFacts, available_for
from partitioner.graphs.sums import Sums, SumsBetweenIdeals, SumsOnLine, TransfersBetweenIdeals
from partitioner.problem import Array, Features, Ideals, Index, Line, Places, Segments, Table

_EXACT_ALLOCATION_LIMIT = 100_000
"""Segments of a line up to which parameter allocation is planned for each; beyond, what exceeds
the memory counts as streamed, which is nearly the same and a thousand times cheaper."""

BOUNDARY = ("request", "bytes in", "bytes out")
"""Features of what goes in and out."""

INSIDE = (
    "off-chip bytes",
    "activation bytes",
    "operators",
    "cpu operators",
    "cpu macs",
    "cpu bytes",
)
"""Features of the work inside; those of each kind of operator come behind them."""


def graph_features(graph: Graph, places: Line | Ideals) -> Features:
    """Features of every segment of ``graph`` between ``places``."""
    facts = OperatorFacts(graph)
    behind = Behind(facts, places)
    mapped = behind.clear & facts.supported[:, None]
    ones = np.ones(len(graph))
    values = np.column_stack([facts.parameters, facts.activations, ones, ones, facts.macs])
    values = np.column_stack([values, facts.activations, *map(facts.macs_of, facts.kinds)])
    sides = entering(facts, behind), leaving(facts, behind)
    operators: Sums
    if isinstance(places, Line):
        sums: Sums = SumsOnLine.inside(behind.done, mapped, values)
        operators = SumsOnLine.inside(behind.done, mapped, values[:, 2:3])
        across: Sums = SumsOnLine.across(len(places), sides)
        sides_of = None
    else:
        sums = SumsBetweenIdeals(places, mapped, values)
        operators = SumsBetweenIdeals(places, mapped, values[:, 2:3])
        across = transfers = TransfersBetweenIdeals(len(places), sides)
        sides_of = transfers.largest
    totals = np.stack([places.prepared(column) for column in values[:, 3:6].T])
    names = (*INSIDE, *facts.kinds)
    available = available_for(len(graph))
    inside = _Inside(names, places, sums, totals, available, None)
    if isinstance(places, Ideals) or places.distinct_segments <= _EXACT_ALLOCATION_LIMIT:
        streamed = _streamed(facts, behind, places, inside)
        inside = _Inside(names, places, sums, totals, available, streamed)
    boundary = _Boundary(BOUNDARY, operators, across)
    return Features(places, boundary, inside, facts.per_operator(facts.supported), sides_of)


@dataclass(frozen=True, eq=False)
class _Boundary:
    """A request, and the bytes that come and go with it; nothing where nothing is mapped."""

    names: tuple[str, ...]
    operators: Sums
    across: Sums

    def at(self, first: Index, end: Index) -> Array:
        some = self.operators.at(first, end) > 0
        return _rounded(np.concatenate([some, self.across.at(first, end) * some], axis=1))


@dataclass(frozen=True, eq=False)
class _Inside:
    """Work, where it is done, and parameters beyond the memory.

    ``sums``: of mapped operators their parameters, activation bytes, number, then number, macs and
    activation bytes again, whose ``totals`` are those of all, and macs by kind.  ``streamed``:
    bytes by first place and end, where they were planned.
    """

    names: tuple[str, ...]
    places: Places
    sums: Sums
    totals: Array
    available: Array
    streamed: Table | None

    def at(self, first: Index, end: Index) -> Array:
        result = self.sums.at(first, end)
        for column, prepared in enumerate(self.totals, start=3):
            result[:, column] = self.places.amount(prepared, first, end) - result[:, column]
        if self.streamed is None:
            beside = self.available[result[:, 2].astype(np.intp)]
            result[:, 0] = np.maximum(result[:, 0] - beside, 0.0)
        else:
            result[:, 0] = self.streamed[first, end]
        return _rounded(result)


def _rounded(values: Array) -> Array:
    """To single precision: so features were kept when the first certificates were written, and
    what those say is worked out again."""
    return values.astype(np.float32).astype(np.float64)


def _streamed(facts: OperatorFacts, behind: Behind, places: Places, inside: _Inside) -> Table:
    """Bytes streamed, by first place and end."""
    result = np.zeros((len(places), len(places)), dtype=np.float32)

    def beyond(part: Segments) -> np.ndarray:
        return inside.at(part.first, part.end)[:, 0] > 0.0

    for part in places.parts():
        over = part.where(beyond(part))
        operators = inside.sums.at(over.first, over.end)[:, 2].astype(np.intp)
        held = partial(behind.held_by, over)
        result[over.first, over.end] = facts.streamed(operators, held)
    return result
