"""Finding the best cut for every number of segments, with one store of measurements for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from compiler import Graph
from devices.errors import ConfigError, ModelError
from partitioner.graphs import OrderChoice, problem_of
from partitioner.problem import NoFeasiblePartition, Partition, Problem
from partitioner.sizing.how_many import Sweep, sweep_of
from partitioner.sizing.plans import PipelineCost
from partitioner.strategies import (
    LatencyOracle,
    OnRound,
    Recorder,
    SearchOptions,
    ignore_round,
    search_optimal,
)

OnCount = Callable[[int], None]
"""Called with every number of segments before its search begins."""

NOT_LOOKED_AT = "the time or the measurements allowed were spent before"
"""Why there is no pipeline of so many segments."""


def sweep(
    graph: Graph,
    oracle: LatencyOracle,
    counts: Sequence[int],
    options: SearchOptions | None = None,
    *,
    partition_search_step: int = 1,
    order: OrderChoice = "file",
    host_cores: int | None = None,
    found: dict[int, Partition] | None = None,
    on_count: OnCount = lambda _: None,
    on_round: OnRound = ignore_round,
) -> Sweep:
    """Search the best cut into 1 to ``max(counts)`` segments and tabulate ``counts`` devices.

    The partitions go into ``found``, by number of segments, as soon as they are known.  The limits
    of ``options`` are for all searches together.

    Numbers of segments that ``graph`` cannot be cut into, or for which no cut compiles, are left
    out.  Raises ``NoFeasiblePartition`` when nothing at all compiles, and what the oracle raises.
    """
    # A segment of four operators costs the same whether the model is cut into three or into eight.
    memory = Recorder(oracle)
    options = options or SearchOptions()
    found = {} if found is None else found
    failures: dict[int, str] = {}
    began = options.clock()
    for segments in range(1, max(counts) + 1):
        left = options
        if options.timeout_s is not None:
            left = replace(options, timeout_s=options.timeout_s - (options.clock() - began))
        if found and _spent(left, memory.measurements):
            failures[segments] = NOT_LOOKED_AT
            continue
        on_count(segments)
        try:
            problem = (
                Problem(len(graph), 1, ())
                if segments == 1
                else problem_of(
                    graph, segments, partition_search_step=partition_search_step, order=order
                )
            )
            found[segments] = search_optimal(
                problem, memory, replace(left, known=dict(memory.answers)), on_round
            )
        except (NoFeasiblePartition, ConfigError, ModelError) as error:
            failures[segments] = str(error)
    return tabulate(graph, counts, found, failures, host_cores)


def _spent(options: SearchOptions, measured: int) -> bool:
    most, left_s = options.max_measurements, options.timeout_s
    return (most is not None and measured >= most) or (left_s is not None and left_s <= 0)


def tabulate(
    graph: Graph,
    counts: Sequence[int],
    found: Mapping[int, Partition],
    failures: Mapping[int, str],
    host_cores: int | None,
) -> Sweep:
    """The table over ``counts`` devices of the partitions ``found``.

    Raises ``NoFeasiblePartition`` when there are none.
    """
    feasible = [count for count in counts if any(k <= count for k in found)]
    if not feasible:
        raise NoFeasiblePartition(
            f"{graph.name} compiles for none of the numbers of segments up to {max(counts)}: "
            f"{failures[max(counts)]}"
        )
    costs = {segments: cost_of(partition) for segments, partition in found.items()}
    stateful = any(p.facts.stateful for partition in found.values() for p in partition.segments)
    return sweep_of(costs, feasible, failures, host_cores=host_cores, stateful=stateful)


def cost_of(partition: Partition) -> PipelineCost:
    """What the table needs of a partition."""
    return PipelineCost(
        cuts=partition.cuts,
        latencies_ns=partition.latencies_ns,
        outcome=partition.outcome,
        off_chip_bytes=partition.off_chip_bytes,
        segments_in_file=() if partition.execution_order is None else partition.runs,
        cpu_ns=tuple(profile.facts.cpu_ns for profile in partition.segments),
        cpu_operators=tuple(len(profile.facts.cpu_operators) for profile in partition.segments),
    )
