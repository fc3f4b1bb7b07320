"""What all strategies have in common: how they are called, and when they have to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from partitioner.problem import Outcome, Partition, Problem, Range, Round
from partitioner.strategies.oracle import LatencyOracle

OnRound = Callable[[Round], None]
"""Called with every round as soon as it is over."""


@dataclass(frozen=True)
class SearchOptions:
    """When a search stops.

    ``diff_threshold_ns``: as soon as slowest minus fastest segment of the best cut is below this
    (0: never for this reason).  ``target_ns``: as soon as the bottleneck is at or under this.
    ``ceiling_ns``: cuts with a slower bottleneck are not tried, unless nothing faster exists.
    ``useless_from_ns``: as soon as no cut can be faster than this.
    ``max_measurements``: after about this many segments, whatever is known by then.
    ``timeout_s``: after about this many seconds of ``clock``, likewise; a measurement under way is
    not cut short.  The starting split is measured in any case, so that there is a result.
    ``baseline``: measure the uncut model as well, for comparison.
    ``evenness``: measurements for each segment asked for that may be spent on gap and bytes, once
    the bottleneck is proven; or as many as the proof took, where those are more.
    ``rates``: what published constants say that a unit of each feature costs, ns, by its name; the
    search begins where they suggest (empty: at the starting split).
    """

    diff_threshold_ns: int = 0
    target_ns: int | None = None
    ceiling_ns: int | None = None
    useless_from_ns: int | None = None
    max_measurements: int | None = None
    timeout_s: float | None = None
    baseline: bool = False
    evenness: int = 12
    rates: Mapping[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic


NO_LIMITS = SearchOptions()
"""Go on until nothing better can be found."""


@dataclass(frozen=True)
class Kind:
    """Devices that are alike: their name, how many there are, and who measures on them.

    ``known``: what earlier searches measured on them (``None``: does not compile), to begin with.
    ``rates``: what published constants of them say, as of :class:`SearchOptions`.
    """

    name: str
    count: int
    oracle: LatencyOracle
    known: Mapping[Range, int | None] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)


def alike(
    problem: Problem, oracle: LatencyOracle, rates: Mapping[str, float] | None = None
) -> Kind:
    """One kind without a name, with a device for every segment."""
    return Kind("", problem.num_segments, oracle, rates=rates or {})


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
