"""What all strategies have in common: how they are called and how they report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from partitioner.problem import (
    Guard,
    Outcome,
    Partition,
    Problem,
    Range,
    Round,
    SegmentProfile,
    cuts_of,
    in_file_order,
    placed,
)
from partitioner.solving import Solution
from partitioner.strategies.oracle import LatencyOracle, Recorder

OnRound = Callable[[Round], None]
"""Called with every round as soon as it is over."""


@dataclass(frozen=True)
class SearchOptions:
    """When a search stops.

    ``diff_threshold_ns``: as soon as slowest minus fastest segment of the best cut is below this
    (0: never for this reason).  ``target_ns``: as soon as the bottleneck is at or under this.
    ``ceiling_ns``: cuts with a slower bottleneck are not tried, unless nothing faster exists.
    ``max_measurements``: after about this many segments, whatever is known by then.
    ``timeout_s``: after about this many seconds of ``clock``, likewise; a measurement under way is
    not cut short.  The starting split is measured in any case, so that there is a result.
    ``baseline``: measure the uncut model as well, for comparison.
    ``known``: what earlier searches measured (``None``: does not compile), to begin with.
    """

    diff_threshold_ns: int = 0
    target_ns: int | None = None
    ceiling_ns: int | None = None
    max_measurements: int | None = None
    timeout_s: float | None = None
    baseline: bool = False
    known: Mapping[Range, int | None] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic


class Budget:
    """What a search may spend; the time runs from here."""

    def __init__(self, options: SearchOptions) -> None:
        self._limit = options.max_measurements
        self._clock = options.clock
        self._deadline = None if options.timeout_s is None else self._clock() + options.timeout_s

    def spent(self, measured: int) -> Outcome | None:
        """Why to end, if ``measured`` segments or the time gone by are a reason."""
        if self._limit is not None and measured >= self._limit:
            return "budget"
        if self._deadline is not None and self._clock() >= self._deadline:
            return "timeout"
        return None


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
    oracle: Recorder,
    segments: Sequence[Range],
    *,
    strategy: str,
    lower_bound_ns: int,
    outcome: Outcome,
    rounds: Rounds,
    least_gap_ns: int = 0,
    guard: Guard | None = None,
    compiler_runs: int | None = None,
) -> Partition:
    """The report on segments that the oracle has measured, all of the model's in order."""
    profiles = []
    for segment, latency in zip(placed(segments), oracle.measure(segments), strict=True):
        assert latency is not None, "a cut chosen by a strategy compiles"
        profiles.append(SegmentProfile(segment, latency, oracle.facts(segment.runs)))
    return Partition(
        strategy=strategy,
        segments=tuple(profiles),
        bytes_across_cuts=problem.bytes_across(segments),
        compilations=oracle.compilations,
        measurements=oracle.measurements,
        lower_bound_ns=lower_bound_ns,
        least_gap_ns=least_gap_ns,
        outcome=outcome,
        guard=guard or Guard(),
        rounds=rounds.all(),
        measured=tuple(sorted(oracle.answers.items())),
        compiler_runs=oracle.compilations if compiler_runs is None else compiler_runs,
        order=problem.order,
    )


def value_of(cuts: tuple[int, ...], latencies_ns: Sequence[int]) -> Solution:
    """A cut with the latencies measured for its segments."""
    return Solution(cuts, max(latencies_ns), min(latencies_ns))


class _Value(Protocol):
    @property
    def bottleneck(self) -> float: ...

    @property
    def gap(self) -> float: ...


class Rounds:
    """The rounds of a search, each told to ``on_round`` as soon as it is over."""

    def __init__(self, on_round: OnRound) -> None:
        self._on_round = on_round
        self._rounds: list[Round] = []

    def __len__(self) -> int:
        return len(self._rounds)

    def all(self) -> tuple[Round, ...]:
        """Every round so far."""
        return tuple(self._rounds)

    def record(
        self,
        tried: Sequence[Range],
        latencies_ns: Sequence[int | None],
        *,
        best: _Value | None,
        bound: float = 0.0,
        measurements: int,
    ) -> None:
        """Note the segments tried and what they took, and what is known since: the best cut so
        far, a latency that no bottleneck is below (``inf`` if nothing compiles), and how many
        segments were measured."""
        numbers = [latency for latency in latencies_ns if latency is not None]
        complete = len(numbers) == len(latencies_ns)
        entry = Round(
            index=len(self._rounds),
            cuts=cuts_of(tried),
            latencies_ns=tuple(latencies_ns),
            bottleneck_ns=max(numbers) if complete else None,
            gap_ns=max(numbers) - min(numbers) if complete else None,
            best_bottleneck_ns=None if best is None else int(best.bottleneck),
            best_gap_ns=None if best is None else int(best.gap),
            lower_bound_ns=int(bound) if math.isfinite(bound) else 0,
            measurements=measurements,
            segments=() if in_file_order(tried) else tuple(tried),
        )
        self._rounds.append(entry)
        self._on_round(entry)
