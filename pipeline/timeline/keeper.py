"""The times of a running pipeline whose devices share something: worked out as items come out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from devices.device import Device, Sharing
from pipeline.channels import ChannelSpec
from pipeline.host import snapshot
from pipeline.observing import StageCounters, StageTrace
from pipeline.stages import DemandRing
from pipeline.timeline.recurrence import Recurrence
from pipeline.timeline.shared import ItemTimes, Shared, SharedRecurrence


class SharedTime:
    """What pipelines of one program share on the virtual clock, and the order of their items.

    A runner makes its own, in which its items count alone.  Several runners whose devices share
    something are given one, and whoever pushes says with :meth:`turn` before every item which
    runner it goes to, counted in the order in which they were made.  Items count as older in that
    order, and come out in it.
    """

    def __init__(self) -> None:
        self.shared = Shared()
        self.links: dict[str, int] = {}
        """Numbers of the links, by name."""
        self._order: deque[int] = deque()
        self._wakes: list[Callable[[], None]] = []
        self._announced: list[int] = []
        self._timed: list[int] = []

    def turn(self, pipeline: int) -> None:
        """The next item pushed goes to this runner.  From one thread at a time."""
        self._announced[pipeline] += 1
        self._order.append(pipeline)

    def join(self, wake: Callable[[], None]) -> int:
        """One more pipeline, which is woken when it is its turn; gives its number."""
        self._wakes.append(wake)
        self._announced.append(0)
        self._timed.append(0)
        return len(self._wakes) - 1

    def due(self, pipeline: int) -> bool:
        """Whether it is this pipeline's turn, or no turn of it is left."""
        if self._announced[pipeline] == self._timed[pipeline]:
            return True
        return self._order[0] == pipeline

    def done(self, pipeline: int) -> None:
        """An item of this pipeline came out."""
        if self._announced[pipeline] == self._timed[pipeline]:
            return  # nobody takes turns
        self._timed[pipeline] += 1
        self._order.popleft()
        if self._order and self._order[0] != pipeline:
            self._wakes[self._order[0]]()


def shared_time_of(devices: Iterable[Device], given: SharedTime | None) -> SharedTime | None:
    """That of a pipeline which may use these devices; ``None`` if they share nothing."""
    sharing = [getattr(device, "sharing", Sharing()) for device in devices]
    if given is None and all(one == Sharing() for one in sharing):
        return None
    time = given or SharedTime()
    for one in sharing:
        if one.link is not None:
            time.links.setdefault(one.link, len(time.links))
    return time


class TimeKeeper:
    """Implements :class:`pipeline.host.Timekeeper` for one pipeline."""

    def __init__(
        self,
        time: SharedTime,
        rings: Sequence[DemandRing],
        channels: Sequence[ChannelSpec],
        devices: Sequence[Hashable],
        *,
        trace_items: int,
        wake: Callable[[], None],
    ) -> None:
        """``rings`` are those of the stages, ``devices`` says where each runs."""
        self._time = time
        self._rings = rings
        self._number = time.join(wake)
        self._recurrence = SharedRecurrence(Recurrence(len(rings), channels, devices), time.shared)
        self._counters = [StageCounters() for _ in rings]
        self._times: deque[tuple[int, ItemTimes, tuple[int, ...]]] = deque(maxlen=trace_items)

    def due(self) -> bool:
        """Whether the next item may come out."""
        return self._time.due(self._number)

    def times_of(self, item: int, ready_ns: int) -> tuple[int, int]:
        """Entry and exit of the next item."""
        demands = [ring.read(item) for ring in self._rings]
        times = self._recurrence.step(demands, ready_ns)
        waits: list[int] = []
        for stage, counters in enumerate(self._counters):
            start_ns, finish_ns = times.start_ns[stage], times.finish_ns[stage]
            depart_ns = times.depart_ns[stage]
            if item == 0:
                counters.first_start_ns = start_ns
            else:
                counters.wait_input_ns += start_ns - times.free_ns[stage]
            counters.wait_output_ns += depart_ns - finish_ns
            counters.last_depart_ns = depart_ns
            waits.append(finish_ns - start_ns - demands[stage].latency_ns)
            counters.wait_shared_ns += waits[-1]
        self._times.append((item, times, tuple(waits)))
        self._time.done(self._number)
        return times.entry_ns, times.exit_ns

    def corrected(self, stage: int, counters: StageCounters) -> StageCounters:
        """What a stage counted, with the times as they are; of items that came out."""
        mine = self._counters[stage]
        return replace(
            counters,
            wait_input_ns=mine.wait_input_ns,
            wait_output_ns=mine.wait_output_ns,
            wait_shared_ns=mine.wait_shared_ns,
            first_start_ns=mine.first_start_ns,
            last_depart_ns=mine.last_depart_ns,
        )

    def retold(self, trace: StageTrace) -> StageTrace:
        """What a stage recorded, with the times as they are; without items that are not out."""
        stage = trace.segment
        known = {item: (times, waits) for item, times, waits in snapshot(self._times)}
        records = []
        for record in trace.records:
            if record.item not in known:
                continue
            times, waits = known[record.item]
            start_ns = times.start_ns[stage]
            records.append(
                replace(
                    record,
                    wait_input_ns=start_ns - times.free_ns[stage] if record.item else 0,
                    start_ns=start_ns,
                    finish_ns=times.finish_ns[stage],
                    depart_ns=times.depart_ns[stage],
                    wait_shared_ns=waits[stage],
                )
            )
        return replace(trace, records=records)
