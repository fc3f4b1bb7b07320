"""What all strategies have in common: how they are called and how they report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from partitioner.oracle import LatencyOracle
from partitioner.problem import (
    Guard,
    Outcome,
    Partition,
    Problem,
    Range,
    Round,
    Segment,
    SegmentProfile,
    ranges_of,
)

OnRound = Callable[[Round], None]
"""Called with every round as soon as it is over."""


@dataclass(frozen=True)
class SearchOptions:
    """When a search stops.

    ``diff_threshold_ns``: as soon as slowest minus fastest segment of the best cut is below this
    (0: never for this reason).  ``target_ns``: as soon as the bottleneck is at or under this.
    ``ceiling_ns``: cuts with a slower bottleneck are not tried, unless nothing faster exists.
    ``max_measurements``: after about this many segments, whatever is known by then.
    ``baseline``: measure the uncut model as well, for comparison.
    ``known``: what earlier searches measured (``None``: does not compile), to begin with.
    """

    diff_threshold_ns: int = 0
    target_ns: int | None = None
    ceiling_ns: int | None = None
    max_measurements: int | None = None
    baseline: bool = False
    known: Mapping[Range, int | None] = field(default_factory=dict)


class Strategy(Protocol):
    """A way to answer a :class:`Problem` by asking a :class:`LatencyOracle`.

    Pure but for the oracle.  Raises :class:`NoFeasiblePartition` and what the oracle raises.
    """

    def __call__(
        self,
        problem: Problem,
        oracle: LatencyOracle,
        options: SearchOptions,
        on_round: OnRound,
    ) -> Partition: ...


def ignore_round(_: Round) -> None:
    """The ``on_round`` of those who do not watch."""


def partition_of(
    problem: Problem,
    oracle: LatencyOracle,
    cuts: tuple[int, ...],
    *,
    strategy: str,
    lower_bound_ns: int,
    outcome: Outcome,
    guard: Guard,
    rounds: tuple[Round, ...],
) -> Partition:
    """The report on cuts all of whose segments the oracle has measured."""
    ranges = ranges_of(cuts, problem.num_operators)
    profiles = []
    for segment, latency in zip(ranges, oracle.measure(ranges), strict=True):
        assert latency is not None, "a cut chosen by a strategy compiles"
        profiles.append(SegmentProfile(Segment(*segment), latency, oracle.facts(segment)))
    crossing = 0 if problem.cut_bytes is None else sum(problem.cut_bytes[cut] for cut in cuts)
    return Partition(
        strategy=strategy,
        segments=tuple(profiles),
        bytes_across_cuts=crossing,
        compilations=oracle.compilations,
        measurements=oracle.measurements,
        lower_bound_ns=lower_bound_ns,
        outcome=outcome,
        guard=guard,
        rounds=rounds,
    )
