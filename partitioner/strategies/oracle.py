"""Who knows how long a segment takes: the one question a strategy may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from partitioner.problem import Range, SegmentFacts


class LatencyOracle(Protocol):
    """Latencies of segments, obtained by compiling and running them.

    The answer for a segment never changes: asking again is free.
    """

    @property
    def parallelism(self) -> int:
        """How many segments are worth asking for at once (the number of devices)."""
        ...

    @property
    def compilations(self) -> int:
        """Segments compiled so far."""
        ...

    @property
    def measurements(self) -> int:
        """Distinct segments run on a device so far."""
        ...

    def measure(self, segments: Sequence[Range]) -> Sequence[int | None]:
        """Latency in nanoseconds of each segment; ``None`` if it does not compile.

        Raises :class:`~devices.errors.DeviceError` when no device is left to run on.
        """
        ...

    def facts(self, segment: Range) -> SegmentFacts:
        """What compiling told about a segment that was measured."""
        ...


class CostTable:
    """An oracle that looks latencies up: the fake beside the profiler, and the replay of a report.

    ``costs`` is a mapping from segments (missing: does not compile) or a function of their numbers,
    ``(first, end)`` or more of them.
    """

    instant = True
    """Asking costs less than thinking about what to ask; other oracles need not say it."""

    def __init__(
        self,
        costs: Mapping[Range, int] | Callable[..., int | None],
        *,
        parallelism: int = 1,
    ) -> None:
        self._cost: Callable[..., int | None]
        if isinstance(costs, Mapping):
            table = dict(costs)
            self._cost = lambda *segment: table.get(segment)
        else:
            self._cost = costs
        self._answers: dict[Range, int | None] = {}
        self._parallelism = parallelism

    @property
    def parallelism(self) -> int:
        return self._parallelism

    @property
    def compilations(self) -> int:
        return len(self._answers)

    @property
    def measurements(self) -> int:
        return sum(latency is not None for latency in self._answers.values())

    @property
    def asked(self) -> frozenset[Range]:
        """Every segment asked for so far."""
        return frozenset(self._answers)

    def measure(self, segments: Sequence[Range]) -> Sequence[int | None]:
        for segment in segments:
            if segment not in self._answers:
                self._answers[segment] = self._cost(*segment)
        return [self._answers[segment] for segment in segments]

    def facts(self, segment: Range) -> SegmentFacts:
        return SegmentFacts()


class Recorder:
    """Passes questions on to another oracle and keeps the answers: what one search has seen."""

    def __init__(self, oracle: LatencyOracle) -> None:
        self._oracle = oracle
        self.instant = bool(getattr(oracle, "instant", False))
        self.answers: dict[Range, int | None] = {}

    @property
    def parallelism(self) -> int:
        return self._oracle.parallelism

    @property
    def compilations(self) -> int:
        return self._oracle.compilations

    @property
    def measurements(self) -> int:
        return self._oracle.measurements

    def measure(self, segments: Sequence[Range]) -> Sequence[int | None]:
        latencies = self._oracle.measure(segments)
        self.answers.update(zip(segments, latencies, strict=True))
        return latencies

    def facts(self, segment: Range) -> SegmentFacts:
        return self._oracle.facts(segment)
