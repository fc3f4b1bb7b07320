"""Finding the best cut for every number of segments, with one store of measurements for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from compiler import Graph
from devices.errors import ConfigError, ModelError
from partitioner.certificate import claims_of
from partitioner.graphs import OrderChoice, problem_of
from partitioner.problem import ONLY_ORDER, NoFeasiblePartition, Partition, Problem
from partitioner.sizing.how_many import NOT_LOOKED_AT, Sweep, sweep_of
from partitioner.sizing.plans import PipelineCost
from partitioner.strategies import (
    Kind,
    OnRound,
    Recorder,
    SearchOptions,
    ignore_round,
    search_assigned,
)

Usage = tuple[int, ...]
"""Devices used, by kind."""

OnCount = Callable[[int], None]
"""Called with every number of segments before its search begins."""


def sweep(
    graph: Graph,
    kinds: Sequence[Kind],
    counts: Sequence[int],
    options: SearchOptions | None = None,
    *,
    partition_search_step: int = 1,
    order: OrderChoice = "file",
    host_cores: int | None = None,
    found: dict[Usage, Partition] | None = None,
    on_count: OnCount = lambda _: None,
    on_round: OnRound = ignore_round,
) -> Sweep:
    """Search the best cut into 1 to ``max(counts)`` segments and tabulate ``counts`` devices.

    On ``kinds`` of devices: for each choice of so many of every kind the best cut for these, each
    used.  Where all are alike (one kind without a name), there are as many as are asked for.
    The partitions go into ``found``, by devices used, as soon as they are known.  The limits
    of ``options`` are for all searches together.

    Numbers of segments that ``graph`` cannot be cut into, or for which no cut compiles, are left
    out.  Raises ``NoFeasiblePartition`` when nothing at all compiles, and what the oracles raise.
    """
    # A segment of four operators costs the same whether the model is cut into three or into eight.
    memories = [Recorder(kind.oracle) for kind in kinds]
    options = options or SearchOptions()
    found = {} if found is None else found
    failures: dict[int, str] = {}
    proofs: dict[Usage, float] = {}
    began = options.clock()
    for segments in range(1, max(counts) + 1):
        told = False
        for usage in choices_of([kind.count for kind in kinds], segments):
            measured = sum(len(memory.answers) for memory in memories)
            left = _left(options, measured, options.clock() - began)
            if found and _spent(left):
                failures[segments] = NOT_LOOKED_AT
                break
            if not told:
                on_count(segments)
                told = True
            used = [
                replace(kind, count=count, oracle=memory, known=dict(memory.answers))
                for kind, count, memory in zip(kinds, usage, memories, strict=True)
                if count
            ]
            try:
                problem = (
                    Problem(len(graph), 1, ())
                    if segments == 1
                    else problem_of(
                        graph, segments, partition_search_step=partition_search_step, order=order
                    )
                )
                found[usage] = search_assigned(problem, used, left, on_round)
                if found[usage].outcome == "optimal" and segments > 1:
                    claims = claims_of(found[usage].evidence(), problem)
                    proofs[usage] = claims.probability or 0.0
            except (NoFeasiblePartition, ConfigError, ModelError) as error:
                failures[segments] = str(error)
    available = {kind.name: kind.count for kind in kinds}
    return tabulate(
        graph, counts, found, failures, proofs, available, host_cores, partition_search_step
    )


def choices_of(counts: Sequence[int], number: int) -> Iterator[Usage]:
    """Every way to take ``number`` devices of those there are, so many of each kind."""
    for usage in product(*(range(count + 1) for count in counts)):
        if sum(usage) == number:
            yield usage


def _left(options: SearchOptions, measured: int, gone_s: float) -> SearchOptions:
    """The options with what ``measured`` segments and the time gone by leave of the limits."""
    most, timeout_s = options.max_measurements, options.timeout_s
    return replace(
        options,
        max_measurements=None if most is None else most - measured,
        timeout_s=None if timeout_s is None else timeout_s - gone_s,
    )


def _spent(left: SearchOptions) -> bool:
    limits = left.max_measurements, left.timeout_s
    return any(limit is not None and limit <= 0 for limit in limits)


def tabulate(
    graph: Graph,
    counts: Sequence[int],
    found: Mapping[Usage, Partition],
    failures: Mapping[int, str],
    proofs: Mapping[Usage, float],
    available: Mapping[str, int],
    host_cores: int | None,
    partition_search_step: int,
) -> Sweep:
    """The table over ``counts`` devices, of those ``available``, of the partitions ``found``.

    ``proofs`` tell with what probability they are optimal, as far as that was worked out.
    Of numbers of segments that some choice of devices can run, it is only told that other choices
    were not looked at.

    Raises ``NoFeasiblePartition`` when there are none.
    """
    done = Counter(map(sum, found))
    feasible = [count for count in counts if min(done, default=count + 1) <= count]
    if not feasible:
        raise NoFeasiblePartition(
            f"{graph.name} compiles for none of the numbers of segments up to {max(counts)}: "
            f"{failures[max(counts)]}"
        )
    costs = [
        replace(cost_of(partition, partition_search_step), probability=proofs.get(usage))
        for usage, partition in found.items()
    ]
    # Asked of the model: devices that compute nothing, as simulated ones here, keep no state.
    stateful = any(tensor.is_variable for tensor in graph.tensors) or any(
        operator.kind == "VAR_HANDLE" for operator in graph.operators
    )
    told = {}
    for number, why in failures.items():
        every = len(list(choices_of(list(available.values()), number)))
        if number not in done or (why == NOT_LOOKED_AT and done[number] < every):
            told[number] = why
    return sweep_of(
        costs, feasible, told, available=available, host_cores=host_cores, stateful=stateful
    )


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
        kinds=partition.kinds,
    )
