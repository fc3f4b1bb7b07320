"""From a graph to a :class:`~partitioner.problem.Problem`: where it may be cut, where to start."""

from __future__ import annotations

from compiler import Graph, parameter_count_cuts
from compiler.segments import first_output
from devices.errors import ConfigError, ModelError
from partitioner.graph_features import cut_bytes, graph_features
from partitioner.problem import Problem, stepped_cut_choices


def problem_of(
    graph: Graph,
    num_segments: int,
    *,
    partition_search_step: int = 1,
    start_cuts: tuple[int, ...] | None = None,
) -> Problem:
    """The problem of cutting ``graph`` into ``num_segments``, from the parameter-count split on.

    ``start_cuts`` are other cuts to begin with.

    Only positions a multiple of ``partition_search_step`` operators away from the starting cuts
    are tried, and none that would tear a state apart.  Raises ``ConfigError`` for numbers that
    make no sense and ``ModelError`` when the graph cannot be cut so often.
    """
    if num_segments < 2:
        raise ConfigError(f"num_segments is {num_segments}, it must be at least 2.")
    if partition_search_step < 1:
        raise ConfigError(
            f"partition_search_step is {partition_search_step}, it must be 1 or more."
        )
    if start_cuts is None:
        start = parameter_count_cuts(graph, num_segments)
    else:
        start = _checked(graph, start_cuts)
    choices = None
    if partition_search_step > 1 or not all(graph.cuttable(p) for p in range(1, len(graph))):
        choices = tuple(
            tuple(position for position in positions if graph.cuttable(position))
            for positions in stepped_cut_choices(start, len(graph), partition_search_step)
        )
    bare = Problem(len(graph), num_segments, start, choices)
    return Problem(
        num_operators=len(graph),
        num_segments=num_segments,
        start_cuts=start,
        cut_choices=choices,
        cut_bytes=cut_bytes(graph),
        features=graph_features(graph, bare.positions),
        first_output=first_output(graph),
        step=partition_search_step,
    )


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
