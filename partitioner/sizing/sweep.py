"""Finding the best cut for every number of segments, with one store of measurements for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from compiler import Graph
from devices.errors import ConfigError, ModelError
from partitioner.certificate import claims_of
from partitioner.graphs import OrderChoice, problem_of
from partitioner.problem import ONLY_ORDER, NoFeasiblePartition, Partition, Problem
from partitioner.sizing.how_many import NOT_LOOKED_AT, Sweep, sweep_of
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
    proofs: dict[int, float] = {}
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
            if found[segments].outcome == "optimal" and segments > 1:
                claims = claims_of(found[segments].evidence(), problem)
                proofs[segments] = claims.probability or 0.0
        except (NoFeasiblePartition, ConfigError, ModelError) as error:
            failures[segments] = str(error)
    return tabulate(graph, counts, found, failures, proofs, host_cores, partition_search_step)


def _spent(options: SearchOptions, measured: int) -> bool:
    most, left_s = options.max_measurements, options.timeout_s
    return (most is not None and measured >= most) or (left_s is not None and left_s <= 0)


def tabulate(
    graph: Graph,
    counts: Sequence[int],
    found: Mapping[int, Partition],
    failures: Mapping[int, str],
    proofs: Mapping[int, float],
    host_cores: int | None,
    partition_search_step: int,
) -> Sweep:
    """The table over ``counts`` devices of the partitions ``found``.

    ``proofs`` tell with what probability they are optimal, as far as that was worked out.

    Raises ``NoFeasiblePartition`` when there are none.
    """
    feasible = [count for count in counts if any(k <= count for k in found)]
    if not feasible:
        raise NoFeasiblePartition(
            f"{graph.name} compiles for none of the numbers of segments up to {max(counts)}: "
            f"{failures[max(counts)]}"
        )
    costs = {
        k: replace(cost_of(partition, partition_search_step), probability=proofs.get(k))
        for k, partition in found.items()
    }
    # Asked of the model: devices that compute nothing, as simulated ones here, keep no state.
    stateful = any(tensor.is_variable for tensor in graph.tensors) or any(
        operator.kind == "VAR_HANDLE" for operator in graph.operators
    )
    return sweep_of(costs, feasible, failures, host_cores=host_cores, stateful=stateful)


def kept_to(order: str, step: int) -> str:
    """Which cuts a search in an ``order``, in a ``step`` of operators, kept to; empty: to none."""
    if step > 1:
        return f"in steps of {step} operators from the starting split"
    return "" if order == ONLY_ORDER or order.startswith("all orders") else f"in {order}"


def cost_of(partition: Partition, step: int) -> PipelineCost:
    """What the table needs of a partition, found in steps of so many operators."""
    return PipelineCost(
        cuts=partition.cuts,
        latencies_ns=partition.latencies_ns,
        outcome=partition.outcome,
        among="" if len(partition.segments) == 1 else kept_to(partition.order, step),
        off_chip_bytes=partition.off_chip_bytes,
        segments_in_file=() if partition.execution_order is None else partition.runs,
        cpu_ns=tuple(profile.facts.cpu_ns for profile in partition.segments),
        cpu_operators=tuple(len(profile.facts.cpu_operators) for profile in partition.segments),
        idle_tpus=sum(not profile.facts.on_edge_tpu for profile in partition.segments),
    )
