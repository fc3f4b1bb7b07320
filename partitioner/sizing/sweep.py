"""Finding the best cut for every number of segments, with one store of measurements for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from compiler import Graph
from devices.errors import ConfigError, ModelError
from partitioner.graphs import OrderChoice, problem_of
from partitioner.problem import NoFeasiblePartition, Partition, Problem
from partitioner.sizing.how_many import Sweep, sweep_of
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

NOT_LOOKED_AT = "the time or the measurements allowed were spent before"
"""Why there is no pipeline of so many segments."""


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
    began = options.clock()
    for segments in range(1, max(counts) + 1):
        told = False
        for usage in choices_of([kind.count for kind in kinds], segments):
            left = options
            if options.timeout_s is not None:
                left = replace(options, timeout_s=options.timeout_s - (options.clock() - began))
            if found and _spent(left, sum(memory.measurements for memory in memories)):
                failures[segments] = NOT_LOOKED_AT
                break
            if not told:
                on_count(segments)
                told = True
            used = [
                Kind(kind.name, count, memory, dict(memory.answers))
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
            except (NoFeasiblePartition, ConfigError, ModelError) as error:
                failures[segments] = str(error)
    available = {kind.name: kind.count for kind in kinds}
    return tabulate(graph, counts, found, failures, available, host_cores)


def choices_of(counts: Sequence[int], number: int) -> Iterator[Usage]:
    """Every way to take ``number`` devices of those there are, so many of each kind."""
    for usage in product(*(range(count + 1) for count in counts)):
        if sum(usage) == number:
            yield usage


def _spent(options: SearchOptions, measured: int) -> bool:
    most, left_s = options.max_measurements, options.timeout_s
    return (most is not None and measured >= most) or (left_s is not None and left_s <= 0)


def tabulate(
    graph: Graph,
    counts: Sequence[int],
    found: Mapping[Usage, Partition],
    failures: Mapping[int, str],
    available: Mapping[str, int],
    host_cores: int | None,
) -> Sweep:
    """The table over ``counts`` devices, of those ``available``, of the partitions ``found``.

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
    costs = [cost_of(partition) for partition in found.values()]
    stateful = any(p.facts.stateful for partition in found.values() for p in partition.segments)
    told = {}
    for number, why in failures.items():
        every = len(list(choices_of(list(available.values()), number)))
        if number not in done or (why == NOT_LOOKED_AT and done[number] < every):
            told[number] = why
    return sweep_of(
        costs, feasible, told, available=available, host_cores=host_cores, stateful=stateful
    )


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
        kinds=partition.kinds,
    )
