"""What a stage counts, where it counts it, and how the host reads it.

Every stage owns one page of unnamed shared memory and writes its counters there once per item.
The host reads the page whenever it likes: while the stage runs the numbers are a glimpse (one
counter may be an item ahead of another), once the stage has ended, or died, they are final.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import asdict, dataclass, field, fields
from operator import attrgetter
from typing import Any

import numpy as np

from devices.device import Clock, Timing
from pipeline.channels import map_memory, unnamed_memory
from pipeline.observing.table import table
from pipeline.observing.usage import ProcessUse

OCTAVE_BUCKETS = 64
"""Buckets for each doubling of a latency: a percentile is at most 0.8 % off its true value."""

_SMALLEST = OCTAVE_BUCKETS.bit_length() - 1
_BUCKETS = OCTAVE_BUCKETS * 42
"""Enough for latencies up to 2**47 ns (39 hours); longer ones count in the last bucket."""

_IN_WORK = "item_in_work"
_TIMING_FIELDS = tuple(part.name for part in fields(Timing))
_WORK_WORD, _BUSY_WORD, _ANSWERS_WORD = range(3)


@dataclass
class StageCounters:
    """The counters of one stage.  Times are on the device's clock, in nanoseconds.

    ``item_in_work`` is -1 while the stage waits for input.  ``items`` were inferred,
    ``failed_items`` failed here and ``passed_items`` had failed before and were passed on.
    ``wait_input_ns`` adds up how long the device idled between two items, ``wait_output_ns`` how
    long it held a finished one because there was no room downstream.  ``overruns`` counts items
    for which the host took longer than the modelled latency (realtime clock only).
    ``wait_shared_ns`` is how much longer than alone its inferences took because of what devices
    share; no stage knows, the host says it.
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
    wait_shared_ns: int = 0

    def add(self, timing: Timing) -> int:
        """Count an inference; gives its latency."""
        latency_ns = timing.total_ns
        if latency_ns < self.shortest_ns or not self.items:
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


_COUNTERS = tuple(counter.name for counter in fields(StageCounters) if counter.name != _IN_WORK)
_values = attrgetter(*_COUNTERS)
_LAYOUT = struct.Struct(f"<{len(_COUNTERS)}qq")
"""The counters, and last how often they were stored: 0 while they are being written."""

_pack = _LAYOUT.pack_into
_COPY_OFFSETS = (64, 512)
_HISTOGRAM_WORD = 128
PAGE_BYTES = 8 * (_HISTOGRAM_WORD + _BUCKETS)


class StatisticsPage:
    """The shared memory page of one stage; takes ownership of the descriptor it is given.

    ``stored`` says how often the counters had been stored when the page was opened, and since.
    """

    def __init__(self, memory: int, size_bytes: int = PAGE_BYTES) -> None:
        try:
            self._mapping: mmap.mmap = map_memory(memory, size_bytes)
        finally:
            os.close(memory)
        # Single words of a memoryview are written several times as fast as packed or by numpy.
        self._words = memoryview(self._mapping)[:PAGE_BYTES].cast("q")
        self.stored = max(copy[-1] for copy in self._copies())

    @staticmethod
    def create(size_bytes: int = PAGE_BYTES) -> int:
        """The memory of a new page; the caller hands out duplicates."""
        memory = unnamed_memory(size_bytes)
        try:
            with mmap.mmap(memory, size_bytes) as mapping:
                struct.pack_into("<q", mapping, 8 * _WORK_WORD, -1)
        except BaseException:
            os.close(memory)
            raise
        return memory

    def begin(self, item: int, busy_since_ns: int = 0) -> None:
        """Say that this item is in work, in case the stage does not survive it.

        ``busy_since_ns`` is the host's monotonic time from which the stage has been waiting for
        nobody but itself, 0 while it depends on its neighbours.
        """
        words = self._words
        words[_WORK_WORD] = item
        words[_BUSY_WORD] = busy_since_ns

    def depends(self) -> None:
        """Say that the item in work waits for neighbours from here on."""
        self._words[_BUSY_WORD] = 0

    def work(self) -> tuple[int, int]:
        """The item in work (-1: none) and since when, as ``begin`` was told."""
        return self._words[_WORK_WORD], self._words[_BUSY_WORD]

    def answer(self, answers: int) -> None:
        """Say how many questions of the host the stage's listener has answered."""
        self._words[_ANSWERS_WORD] = answers

    def answers(self) -> int:
        """How many questions were answered."""
        return self._words[_ANSWERS_WORD]

    def store(self, counters: StageCounters, start_ns: int | None = None) -> None:
        """Show the counters; no item is in work now.

        ``start_ns`` is when the item just counted began, which traced pages record.
        Two copies take turns, so that one is whole even if the stage dies while writing.
        """
        stored = self.stored = self.stored + 1
        _pack(self._mapping, _COPY_OFFSETS[stored & 1], *_values(counters), stored)
        words = self._words
        words[_BUSY_WORD] = 0
        words[_WORK_WORD] = -1

    def count(self, latency_ns: int) -> None:
        """Add a latency to the histogram."""
        self._words[_HISTOGRAM_WORD + bucket_of(latency_ns)] += 1

    def load(self) -> tuple[StageCounters, list[int]]:
        """The counters, and the latencies at the 50th and 99th percentile (0 if none)."""
        counters = self.counters()
        histogram = np.array(self._words[_HISTOGRAM_WORD:])
        return counters, [_percentile(histogram, counters, share) for share in (0.50, 0.99)]

    def counters(self) -> StageCounters:
        """The counters stored last."""
        values = max(self._copies(), key=lambda copy: copy[-1])[:-1]
        return StageCounters(self.work()[0], *values)

    def _copies(self) -> list[tuple[int, ...]]:
        return [_LAYOUT.unpack_from(self._mapping, offset) for offset in _COPY_OFFSETS]

    def close(self) -> None:
        """Unmap the page."""
        self._words.release()
        self._mapping.close()


def bucket_of(latency_ns: int) -> int:
    """The histogram bucket: exact up to 128 ns, 64 equal steps for each doubling above."""
    shift = latency_ns.bit_length() - 1 - _SMALLEST
    if shift <= 0:
        return latency_ns
    bucket = shift * OCTAVE_BUCKETS + (latency_ns >> shift)
    return bucket if bucket < _BUCKETS else _BUCKETS - 1


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

    ``timing`` adds up where the nanoseconds of all its inferences went.  ``restarts`` counts how
    often the segment was given a new device (``device`` is the one it has now), and ``replays``
    the items that were computed again because of it.
    """

    segment: int
    device: str
    counters: StageCounters
    latency_p50_ns: int
    latency_p99_ns: int
    timing: Timing = field(repr=False)
    replays: int = 0
    restarts: int = 0

    @classmethod
    def read(
        cls, segment: int, device: str, page: StatisticsPage, replays: int = 0, restarts: int = 0
    ) -> StageStatistics:
        """What the page says now."""
        counters, (p50, p99) = page.load()
        timing = Timing(**{name: getattr(counters, name) for name in _TIMING_FIELDS})
        return cls(segment, device, counters, p50, p99, timing, replays, restarts)

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
    and ``popped`` were handed to the program.  ``processes`` are listed on request.
    """

    clock: Clock
    stages: tuple[StageStatistics, ...]
    pushed: int
    finished: int
    popped: int
    processes: tuple[ProcessUse, ...] = ()

    @property
    def bottleneck(self) -> StageStatistics:
        """The stage with the largest mean latency."""
        return max(self.stages, key=lambda stage: stage.latency_mean_ns)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, names, lists and dictionaries, ready for JSON."""
        values = asdict(self)
        for values_of_stage, stage in zip(values["stages"], self.stages, strict=True):
            values_of_stage["items"] = stage.items
            values_of_stage["latency_mean_ns"] = stage.latency_mean_ns
            values_of_stage["utilization"] = stage.utilization
        values["stages"] = list(values["stages"])
        values["processes"] = [{**p, "cpus": list(p["cpus"])} for p in values["processes"]]
        return values

    def table(self) -> str:
        """The same as text for people: a line for each stage and process."""
        return table(self.as_dict())
