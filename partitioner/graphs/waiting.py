"""Which segments of a cut wait for which: of branches, several can run at the same time."""

from __future__ import annotations

from collections.abc import Sequence

from compiler import Graph
from partitioner.problem import Range, operators_of


def waits_for(graph: Graph, segments: Sequence[Range]) -> tuple[tuple[int, ...], ...]:
    """By segment of ``graph`` the numbers of those that make tensors it reads."""
    maker_of = {
        operator: number
        for number, segment in enumerate(segments)
        for operator in operators_of(segment)
    }
    found: list[set[int]] = [set() for _ in segments]
    for operator, number in maker_of.items():
        makers = (graph.makers[t] for t in graph.operators[operator].inputs if t >= 0)
        found[number].update(maker_of[maker] for maker in makers if maker is not None)
    return tuple(tuple(sorted(each - {number})) for number, each in enumerate(found))
