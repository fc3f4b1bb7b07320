"""From a graph to a :class:`~partitioner.problem.Problem`: where it may be cut, where to start."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from typing import Literal

from compiler import Graph, parameter_count_cuts, parameter_count_parts
from compiler.cutting import first_output, obstacles_along, order_of
from devices.errors import ConfigError, ModelError
from partitioner.graphs.any_order import unordered
from partitioner.graphs.crossings import cut_bytes
from partitioner.graphs.graph_features import graph_features
from partitioner.graphs.precedence import precedence_of
from partitioner.problem import (
    CORAL_ORDER,
    FILE_ORDER,
    ONLY_ORDER,
    Ideals,
    Line,
    Problem,
    stepped_cut_choices,
)

MOST_IDEALS = 1_500
"""Up to so many ideals a search looks at all of them, beyond at some.

Of 1,353 (Inception v3) a search thinks for some seconds; their number squared is what it costs."""

MOST_MEASURED = 150
"""The same where all segments between them are to be measured."""

OrderChoice = Literal["any", "file", "coral"]
"""Which orders of the operators to cut in; ``coral`` is for the split by parameter count alone."""


def problem_of(
    graph: Graph,
    num_segments: int,
    *,
    partition_search_step: int = 1,
    start_cuts: tuple[int, ...] | None = None,
    order: OrderChoice = "file",
    most_ideals: int = MOST_IDEALS,
) -> Problem:
    """The problem of cutting ``graph`` into ``num_segments``, from the parameter-count split on.

    ``start_cuts`` are other cuts to begin with.  With ``order`` ``any``, cuts may be behind any
    ideal of the graph, so that either of parallel branches may come first; where there are more
    than ``most_ideals`` of them, behind those that some orders pass through, among them the
    starting split.  That needs a ``partition_search_step`` of 1, else the order is that of the
    file.  The starting split is counted in the order of Coral's tools where the order is ``any``
    or ``coral`` (which has no other places to cut), else in that of the file.

    In the order of the file, only positions a multiple of ``partition_search_step`` operators away
    from the starting cuts are tried, and none that would tear a state apart.  Raises
    ``ConfigError`` for numbers that make no sense and ``ModelError`` when the graph cannot be cut
    so often.
    """
    if num_segments < 2:
        raise ConfigError(f"num_segments is {num_segments}, it must be at least 2.")
    if partition_search_step < 1:
        raise ConfigError(
            f"partition_search_step is {partition_search_step}, it must be 1 or more."
        )
    start = None if start_cuts is None else _checked(graph, start_cuts)
    words = FILE_ORDER
    if start is None and (order == "coral" or (order == "any" and partition_search_step == 1)):
        done = _coral_split(graph, num_segments)
        ideals = None
        if order == "any":
            ideals, words = _ideals_of(graph, most_ideals)
        elif not _in_file_order(done):
            # More than the split passes through: of others nothing is to follow from it.
            passed = {0, *done, *_coral_prefixes(graph)[:MOST_IDEALS]}
            ideals, words = Ideals(passed, len(graph), complete=False), CORAL_ORDER
        cuts = tuple(ideal.bit_count() for ideal in done[:-1])
        if ideals is not None:
            return Problem(
                len(graph),
                num_segments,
                cuts,
                cut_bytes=cut_bytes(graph, ideals),
                features=_set_features(graph, ideals) if order == "any" else None,
                ideals=ideals,
                start_ideals=done,
                order=words,
                unordered=None if ideals.complete or order != "any" else _unordered(graph),
            )
        start = cuts if _in_file_order(done) else None
    if start is None:
        start = parameter_count_cuts(graph, num_segments)
    choices = None
    if partition_search_step > 1 or not all(graph.cuttable(p) for p in range(1, len(graph))):
        choices = tuple(
            tuple(position for position in positions if graph.cuttable(position))
            for positions in stepped_cut_choices(start, len(graph), partition_search_step)
        )
    bare = Problem(len(graph), num_segments, start, choices)
    return replace(
        bare,
        cut_bytes=cut_bytes(graph, Line(tuple(range(len(graph) + 1)))),
        features=graph_features(graph, Line(bare.positions)),
        first_output=first_output(graph),
        step=partition_search_step,
        order=words,
    )


def problem_asked(
    graph: Graph,
    num_segments: int,
    *,
    strategy: str,
    order: Literal["any", "file"],
    partition_search_step: int = 1,
    cuts: tuple[int, ...] | None = None,
) -> Problem:
    """The problem as a command asks it, and as a ``partition.json`` says it was asked.

    Bisection and ``cuts`` of one's own know the order of the file alone; the split by parameter
    count is that of ``edgetpu_compiler``, in the order of Coral's tools unless that of the file is
    asked for.  Raises what :func:`problem_of` raises.
    """
    if num_segments == 1:
        return Problem(len(graph), 1, ())
    choice: OrderChoice = order
    if order == "any" and strategy not in ("optimal", "exhaustive"):
        choice = "coral" if strategy == "parameter-count" else "file"
    return problem_of(
        graph,
        num_segments,
        partition_search_step=partition_search_step,
        start_cuts=cuts,
        order=choice,
        most_ideals=MOST_MEASURED if strategy == "exhaustive" else MOST_IDEALS,
    )


def _coral_split(graph: Graph, num_segments: int) -> tuple[int, ...]:
    """What has run behind each segment that ``edgetpu_compiler --num_segments`` makes.

    In the order of the file where states leave too few places to cut in that of Coral's tools.
    """
    try:
        parts = parameter_count_parts(graph, num_segments)
    except ModelError:
        parts = parameter_count_parts(graph, num_segments, "file")
    return tuple(accumulate(sum(1 << index for index in part) for part in parts))


def _in_file_order(done: tuple[int, ...]) -> bool:
    """Whether these ideals are beginnings of the file."""
    return all(ideal & (ideal + 1) == 0 for ideal in done)


@lru_cache(maxsize=2)
def _ideals_of(graph: Graph, most: int) -> tuple[Ideals | None, str]:
    """Places to cut in any order, ``None`` where the file's order will do, and which orders in
    words.  Those that Coral's order passes through are among them."""
    units = precedence_of(graph)
    if all(number - 1 in before for number, before in enumerate(units.before) if number):
        return None, ONLY_ORDER
    if len(units.units) >= most:
        return None, FILE_ORDER
    every = units.ideals(most)
    if every is not None:
        return Ideals(every, len(graph), complete=True), f"all orders ({len(every):,} ideals)"
    made = [sum(graph.tensors[t].size_bytes for t in one.outputs) for one in graph.operators]
    sizes = [sum(size for i, size in enumerate(made) if unit >> i & 1) for unit in units.units]
    found: set[int] = set()
    orders = set()
    for passed in (_coral_prefixes(graph), *map(units.prefixes, units.orders(sizes))):
        prefixes = found.union(passed)
        if len(prefixes) > most:
            break
        found = prefixes
        orders.add(passed)
    words = (
        f"{len(orders)} order{'s' * (len(orders) > 1)} and what they combine to "
        f"({len(found):,} ideals of more than {most:,})"
    )
    return Ideals(found, len(graph), complete=False), words


def _coral_prefixes(graph: Graph) -> tuple[int, ...]:
    """The ideals that the order of Coral's tools passes through, but where it cannot be cut."""
    along = order_of(graph, "coral")
    torn = obstacles_along(graph, along)
    done = accumulate((1 << index for index in along), initial=0)
    return tuple(ideal for place, ideal in enumerate(done) if place not in torn)


_unordered = lru_cache(maxsize=1)(unordered)
_set_features = lru_cache(maxsize=1)(graph_features)


def _checked(graph: Graph, cuts: tuple[int, ...]) -> tuple[int, ...]:
    """The same cuts.  Raises ``ConfigError`` or ``ModelError`` where the graph cannot be cut."""
    for cut in cuts:
        if not 0 < cut < len(graph):
            raise ConfigError(
                f"cuts name operator {cut}, but {graph.name} has operators 0 to {len(graph) - 1} "
                f"and can be cut before operators 1 to {len(graph) - 1}."
            )
        obstacle = graph.obstacle(cut)
        if obstacle is not None:
            raise ModelError(
                f"{graph.name} cannot be cut before operator {cut}: {obstacle}; give other cuts."
            )
    return cuts
