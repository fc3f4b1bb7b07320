"""``--num_segments``: cutting a model into segments of about equal parameter bytes.

This is the Edge TPU Compiler's own heuristic, as far as libcoral's
``ParameterCountBasedPartitioner`` restates it: fast, blind to time, and the baseline that
profiling is measured against.  Unlike there, every request for up to as many segments as the
model can be cut into succeeds.

Google's compiler counts along :func:`~compiler.cutting.coral_order.coral_order`, which on graphs
with branches is not the order of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from compiler.cutting.coral_order import coral_order
from compiler.graph import Graph
from devices.errors import ConfigError, ModelError

CutOrder = Literal["coral", "file"]
"""In which order operators are counted."""


def segment_stem(stem: str, index: int, count: int) -> str:
    """File name, without suffix, of segment ``index`` of ``count``, as Coral's tools name it."""
    return f"{stem}_segment_{index}_of_{count}"


def parameter_count_parts(
    graph: Graph, num_segments: int, order: CutOrder = "coral"
) -> tuple[tuple[int, ...], ...]:
    """The operators of each segment, ascending; segments have about equal parameter bytes.

    ``order`` is that in which operators are counted: Coral's, or that of the file.  Raises as
    :func:`parameter_count_cuts`.
    """
    along = order_of(graph, order)
    return parts_between(along, _cuts(graph, num_segments, along))


def order_of(graph: Graph, order: CutOrder) -> tuple[int, ...]:
    """The operators in an order in which they can run."""
    return coral_order(graph) if order == "coral" else tuple(range(len(graph)))


def parts_between(along: Sequence[int], cuts: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The operators between cuts along an order, ascending in each segment."""
    edges = (0, *cuts, len(along))
    return tuple(tuple(sorted(along[first:end])) for first, end in pairwise(edges))


def obstacles_along(graph: Graph, along: Sequence[int]) -> dict[int, str]:
    """The places of an order at which the graph cannot be cut, and why."""
    position = {index: place for place, index in enumerate(along)}
    found: dict[int, str] = {}
    for together, reason in graph.inseparable:
        spread = [position[index] for index in together]
        for place in range(min(spread) + 1, max(spread) + 1):
            found.setdefault(place, reason)
    return found


def parameter_count_cuts(graph: Graph, num_segments: int) -> tuple[int, ...]:
    """Where to cut a model, in the order of the file, into segments of about equal parameter bytes.

    Gives the end positions of the first ``num_segments - 1`` segments, ascending.  Positions at
    which a state would be torn apart are avoided.  Raises ``ConfigError`` when ``num_segments``
    is below 1 or above the number of operators, ``ModelError`` when states leave too few places
    to cut.
    """
    return _cuts(graph, num_segments, tuple(range(len(graph))))


def _cuts(graph: Graph, num_segments: int, along: Sequence[int]) -> tuple[int, ...]:
    count = len(graph)
    if not 1 <= num_segments <= count:
        most = f"choose 1 to {count}" if count > 1 else "it cannot be cut"
        raise ConfigError(
            f"num_segments is {num_segments}, but {graph.name} has {count} "
            f"operator{'s' * (count != 1)} and every segment needs at least one; {most}."
        )
    torn = obstacles_along(graph, along)
    places = [place for place in range(1, count) if place not in torn]
    if len(places) < num_segments - 1:
        raise ModelError(
            f"{graph.name} cannot be cut into {num_segments} segments: its operators share "
            f"states, which leaves {len(places)} places to cut; choose at most "
            f"{len(places) + 1} segments."
        )
    sizes = [
        0 if graph.operators[index].is_custom else graph.parameter_bytes(index) for index in along
    ]
    return balanced_cuts(sizes, num_segments, places, _first_output(graph, along))


def first_output(graph: Graph) -> int:
    """The first operator whose results no operator reads.

    The heuristic keeps it and all behind it in the last segment, because Coral's runner expects
    the model's outputs from there.
    """
    return _first_output(graph, range(len(graph)))


def _first_output(graph: Graph, along: Sequence[int]) -> int:
    """The same as a place in another order."""
    for place, index in enumerate(along):
        if not any(graph.readers[t] for t in graph.operators[index].outputs):
            return place
    return len(along) - 1


def balanced_cuts(
    sizes: Sequence[int], num_segments: int, places: Sequence[int], last_start: int
) -> tuple[int, ...]:
    """The heuristic on bare numbers.

    ``sizes`` are parameter bytes per operator, ``places`` the positions at which a cut is allowed
    (ascending, at least ``num_segments - 1``), ``last_start`` the latest position at which the
    last segment should start.  Every segment but the last takes operators as long as its sum does
    not exceed the average (rather too few: later operators compute less per parameter byte), and
    leaves one operator for each segment to come; an operator larger than the average stands alone.
    """
    average = sum(sizes) // num_segments + 1
    inner = num_segments - 1
    cuts: list[int] = []
    start = 0
    used = 0  # places already behind the last cut
    for segment in range(inner):
        still_needed = inner - 1 - segment
        end, total = start, 0
        while end < len(sizes) and total + sizes[end] <= average:
            total += sizes[end]
            end += 1
        if last_start - still_needed > start:
            end = min(end, last_start - still_needed)
        choices = places[used : len(places) - still_needed]
        fitting = [place for place in choices if place <= end]
        start = fitting[-1] if fitting else choices[0]
        used = places.index(start) + 1
        cuts.append(start)
    return tuple(cuts)
