"""What the options ``--num_segments auto``, ``--sweep`` and the targets ask, answered."""

from __future__ import annotations

from collections.abc import Sequence

from compiler import Graph
from devices.device import Device
from devices.simulated import description_of
from partitioner.command.arguments import Arguments
from partitioner.measuring import DRIFT
from partitioner.problem import Partition
from partitioner.reporting import Progress
from partitioner.sizing import Recommendation, Sweep, Target, recommend, sweep
from partitioner.strategies import LatencyOracle, OnRound, SearchOptions, ignore_round

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
    oracle: LatencyOracle,
    devices: Sequence[Device],
    progress: Progress | None,
) -> tuple[Sweep, Recommendation, dict[int, Partition]]:
    """The table, the recommendation, and the best cuts by number of segments.

    Raises ``NoFeasiblePartition`` and what the oracle raises.
    """
    counts = counts_of(arguments)

    def on_count(segments: int) -> None:
        if progress is not None:
            progress.label = f"{segments} of {max(counts)} segments: "

    on_round: OnRound = ignore_round if progress is None else progress
    result, partitions = sweep(
        graph,
        oracle,
        counts,
        SearchOptions(),
        partition_search_step=arguments.partition_search_step,
        order=arguments.order,
        host_cores=arguments.host_cores,
        on_count=on_count,
        on_round=on_round,
    )
    if progress is not None:
        progress.label = ""
    return result, recommend(result, target_of(arguments, devices)), partitions
