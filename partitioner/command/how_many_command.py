"""What the options ``--num_segments auto``, ``--sweep`` and the targets ask, answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler import Graph
from devices.device import Device
from devices.simulated import description_of
from partitioner.command.arguments import Arguments
from partitioner.measuring import DRIFT
from partitioner.reporting import Progress
from partitioner.sizing import (
    NOT_LOOKED_AT,
    Findings,
    Recommendation,
    Sweep,
    Target,
    recommend,
    sweep,
    tabulate,
)
from partitioner.strategies import Kind, OnRound, SearchOptions, ignore_round

DEFAULT_COUNTS = range(1, 9)
"""Numbers of TPUs looked at by ``--num_segments auto``."""


_REAL_MARGIN = DRIFT
"""By default for real devices: a change of theirs up to this goes unnoticed."""


def target_of(arguments: Arguments, devices: Sequence[Device]) -> Target:
    """The throughput and latency asked for, and with how much to spare."""
    latency = arguments.max_latency_ms
    margin = arguments.margin
    if margin is None:
        told = [description_of(device).get("spread", _REAL_MARGIN) for device in devices]
        margin = max(map(float, told))
    return Target(arguments.target_fps, None if latency is None else round(latency * 1e6), margin)


def asked_how_many(arguments: Arguments) -> bool:
    """Whether numbers of TPUs are to be compared."""
    return arguments.sweep is not None or arguments.num_segments in (None, "auto")


def counts_of(arguments: Arguments) -> range:
    """The numbers of TPUs to compare."""
    if arguments.sweep is None:
        return DEFAULT_COUNTS
    low, high = arguments.sweep
    return range(low, high + 1)


def answer_how_many(
    arguments: Arguments,
    graph: Graph,
    kinds: Sequence[Kind],
    devices: Sequence[Device],
    progress: Progress | None,
    findings: Findings,
) -> tuple[Sweep, Recommendation]:
    """The table and the recommendation; what is found on the way goes into ``findings``.

    Raises ``NoFeasiblePartition`` and what the oracles raise.
    """
    counts, target = counts_of(arguments), target_of(arguments, devices)

    def on_count(segments: int) -> None:
        if progress is not None:
            progress.label = f"{segments} of {max(counts)} segments: "

    on_round: OnRound = ignore_round if progress is None else progress
    table = sweep(
        graph,
        kinds,
        counts,
        SearchOptions(max_measurements=arguments.max_measurements, timeout_s=arguments.timeout_sec),
        partition_search_step=arguments.partition_search_step,
        order=arguments.order,
        host_cores=arguments.host_cores,
        most_latency_ns=target.most_ns,
        findings=findings,
        on_count=on_count,
        on_round=on_round,
    )
    if progress is not None:
        progress.label = ""
    return table, recommend(table, target)


def conclude(
    arguments: Arguments,
    graph: Graph,
    kinds: Sequence[Kind],
    findings: Findings,
    devices: Sequence[Device],
    why: str = NOT_LOOKED_AT,
) -> tuple[Sweep, Recommendation]:
    """The same of what was found until it ended, and ``why`` that is all.

    Raises ``NoFeasiblePartition``.
    """
    counts = counts_of(arguments)
    missing = dict.fromkeys(range(1, max(counts) + 1), why)
    until_now = replace(findings, failures=missing | findings.failures)
    available = {kind.name: kind.count for kind in kinds}
    step = arguments.partition_search_step
    table = tabulate(graph, counts, until_now, available, arguments.host_cores, step)
    return table, recommend(table, target_of(arguments, devices))
