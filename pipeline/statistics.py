"""What a stage counts, where it counts it, and how the host reads it.

Every stage owns one page of unnamed shared memory and writes its counters there once per item.
The host reads the page whenever it likes: while the stage runs the numbers are a glimpse (one
counter may be an item ahead of another), once the stage has ended, or died, they are final.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass, field, fields
from operator import attrgetter

import numpy as np

from devices.device import Clock, Timing
from pipeline.shared_memory import map_memory, unnamed_memory

OCTAVE_BUCKETS = 64
"""Buckets for each doubling of a latency: a percentile is at most 0.8 % off its true value."""

_SMALLEST = OCTAVE_BUCKETS.bit_length() - 1
_BUCKETS = OCTAVE_BUCKETS * 42
"""Enough for latencies up to 2**47 ns (39 hours); longer ones count in the last bucket."""

_TIMING_FIELDS = tuple(part.name for part in fields(Timing))
_ITEM = struct.Struct("<q")


@dataclass
class StageCounters:
    """The counters of one stage.  Times are on the device's clock, in nanoseconds.

    ``item_in_work`` is -1 while the stage waits for input.  ``items`` were inferred,
    ``failed_items`` failed here and ``passed_items`` had failed before and were passed on.
    ``wait_input_ns`` adds up how long the device idled between two items, ``wait_output_ns`` how
    long it held a finished one because there was no room downstream.  ``overruns`` counts items
    for which the host took longer than the modelled latency (realtime clock only).
    """

    item_in_work: int = -1
    items: int = 0
    failed_items: int = 0
    passed_items: int = 0
    busy_ns: int = 0
    shortest_ns: int = 0
    longest_ns: int = 0
    wait_input_ns: int = 0
    wait_output_ns: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    overruns: int = 0
    overrun_ns: int = 0
    host_ns: int = 0
    first_start_ns: int = 0
    last_depart_ns: int = 0
    overhead_ns: int = 0
    parameter_load_ns: int = 0
    input_ns: int = 0
    compute_ns: int = 0
    streaming_ns: int = 0
    output_ns: int = 0
    cpu_ns: int = 0

    def add(self, timing: Timing) -> int:
        """Count an inference; gives its latency."""
        latency_ns = timing.total_ns
        if self.items == 0 or latency_ns < self.shortest_ns:
            self.shortest_ns = latency_ns
        if latency_ns > self.longest_ns:
            self.longest_ns = latency_ns
        self.items += 1
        self.busy_ns += latency_ns
        self.overhead_ns += timing.overhead_ns
        self.parameter_load_ns += timing.parameter_load_ns
        self.input_ns += timing.input_ns
        self.compute_ns += timing.compute_ns
        self.streaming_ns += timing.streaming_ns
        self.output_ns += timing.output_ns
        self.cpu_ns += timing.cpu_ns
        return latency_ns


_COUNTERS = tuple(counter.name for counter in fields(StageCounters))
_values = attrgetter(*_COUNTERS)
_LAYOUT = struct.Struct(f"<{len(_COUNTERS)}q")
_HISTOGRAM_OFFSET = 512
PAGE_BYTES = _HISTOGRAM_OFFSET + 8 * _BUCKETS


class StatisticsPage:
    """The shared memory page of one stage; takes ownership of the descriptor it is given."""

    def __init__(self, memory: int) -> None:
        try:
            self._mapping: mmap.mmap = map_memory(memory, PAGE_BYTES)
        finally:
            os.close(memory)
        self._histogram = np.frombuffer(self._mapping, np.int64, _BUCKETS, offset=_HISTOGRAM_OFFSET)

    @staticmethod
    def create() -> int:
        """The memory of a new page; the caller hands out duplicates."""
        memory = unnamed_memory(PAGE_BYTES)
        _ITEM.pack_into(mapping := mmap.mmap(memory, PAGE_BYTES), 0, -1)
        mapping.close()
        return memory

    def begin(self, item: int) -> None:
        """Say that this item is in work, in case the stage does not survive it."""
        _ITEM.pack_into(self._mapping, 0, item)

    def store(self, counters: StageCounters) -> None:
        """Show the counters."""
        _LAYOUT.pack_into(self._mapping, 0, *_values(counters))

    def count(self, latency_ns: int) -> None:
        """Add a latency to the histogram."""
        self._histogram[bucket_of(latency_ns)] += 1

    def load(self) -> tuple[StageCounters, list[int]]:
        """The counters, and the latencies at the 50th and 99th percentile (0 if none)."""
        counters = StageCounters(*_LAYOUT.unpack_from(self._mapping, 0))
        histogram = self._histogram.copy()
        return counters, [_percentile(histogram, counters, share) for share in (0.50, 0.99)]

    def close(self) -> None:
        """Unmap the page."""
        del self._histogram
        self._mapping.close()


def bucket_of(latency_ns: int) -> int:
    """The histogram bucket: exact up to 128 ns, 64 equal steps for each doubling above."""
    shift = max(0, latency_ns.bit_length() - 1 - _SMALLEST)
    return min(shift * OCTAVE_BUCKETS + (latency_ns >> shift), _BUCKETS - 1)


def bucket_middle_ns(bucket: int) -> int:
    """The latency a bucket stands for."""
    shift = max(0, bucket // OCTAVE_BUCKETS - 1)
    return ((2 * (bucket - shift * OCTAVE_BUCKETS) + 1) << shift) // 2


def _percentile(histogram: np.ndarray, counters: StageCounters, share: float) -> int:
    total = int(histogram.sum())
    if not total:
        return 0
    rank = max(1, -(-total * round(share * 100) // 100))
    bucket = int(np.searchsorted(np.cumsum(histogram), rank))
    return min(max(bucket_middle_ns(bucket), counters.shortest_ns), counters.longest_ns)


@dataclass(frozen=True)
class StageStatistics:
    """One stage, as :meth:`PipelinedModelRunner.stats` shows it; see :class:`StageCounters`.

    ``timing`` adds up where the nanoseconds of all its inferences went.
    """

    segment: int
    device: str
    counters: StageCounters
    latency_p50_ns: int
    latency_p99_ns: int
    timing: Timing = field(repr=False)

    @classmethod
    def read(cls, segment: int, device: str, page: StatisticsPage) -> StageStatistics:
        """What the page says now."""
        counters, (p50, p99) = page.load()
        timing = Timing(**{name: getattr(counters, name) for name in _TIMING_FIELDS})
        return cls(segment, device, counters, p50, p99, timing)

    @property
    def items(self) -> int:
        """Inferences done."""
        return self.counters.items

    @property
    def latency_mean_ns(self) -> float:
        """Mean latency of one inference."""
        return self.counters.busy_ns / self.items if self.items else 0.0

    @property
    def utilization(self) -> float:
        """Share of the time between its first start and its last departure spent inferring."""
        span_ns = self.counters.last_depart_ns - self.counters.first_start_ns
        return min(1.0, self.counters.busy_ns / span_ns) if span_ns > 0 else 0.0


@dataclass(frozen=True)
class PipelineStatistics:
    """The pipeline at one moment.

    ``pushed`` items were accepted, ``finished`` came out at the far end (failed ones included)
    and ``popped`` were handed to the program.
    """

    clock: Clock
    stages: tuple[StageStatistics, ...]
    pushed: int
    finished: int
    popped: int

    @property
    def bottleneck(self) -> StageStatistics:
        """The stage with the largest mean latency."""
        return max(self.stages, key=lambda stage: stage.latency_mean_ns)
