"""The recurrence where stages share more than queues: links that several devices hang on, a host.

Whatever is shared serves the older item first, and of one item the earlier stage; who comes later
gets what is left, nanosecond by nanosecond, as packets of several devices alternate on a bus.  So
the times of an item depend on no item behind it, though that one may ask for earlier moments: items
are worked out one after another, in their order, and none has to be looked at again.

An inference is made of phases, one behind the other.  A phase ends when the device is done with it
*and* its bytes have had their time on the link::

    host    |██████████|                      host_ns from the start, beside the device
    phases  |overhead|input   |compute     |output  |cpu|
    link             |████|   |██|         |████|           the link's own rate is higher
    finish = max(end of the last phase, end of the host's part)

Everything else is as in :mod:`pipeline.timeline.recurrence`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from devices.errors import ConfigError
from pipeline.channels import ChannelSpec
from pipeline.stages import Demand
from pipeline.timeline.busy import Busy
from pipeline.timeline.recurrence import Recurrence
from pipeline.timeline.simulation import Timeline

_TIDY_ITEMS = 64
"""After so many items it is forgotten what nobody can ask for any more."""


class Shared:
    """The links and the host that one or several pipelines have in common."""

    def __init__(self) -> None:
        self._links: dict[int, Busy] = {}
        self._host = Busy()
        self._reached: list[int] = []

    def join(self) -> int:
        """Count one more pipeline; gives its number."""
        self._reached.append(0)
        return len(self._reached) - 1

    def serve(self, start_ns: int, demand: Demand) -> int:
        """When an inference is done that starts now, older ones having been served."""
        now = start_ns
        link = None
        if demand.link >= 0:
            link = self._links.get(demand.link)
            if link is None:
                link = self._links[demand.link] = Busy()
        for alone_ns, link_ns in demand.phases:
            end = now + alone_ns
            if link is not None and link_ns:
                end = max(end, link.serve(now, link_ns))
            now = end
        if demand.host_ns:
            now = max(now, self._host.serve(start_ns, demand.host_ns))
        return now

    def reached(self, pipeline: int, time_ns: int) -> None:
        """No item of this pipeline will start anything before this time."""
        self._reached[pipeline] = time_ns
        before_ns = min(self._reached)
        for busy in (self._host, *self._links.values()):
            busy.forget(before_ns)


@dataclass(frozen=True)
class ItemTimes:
    """One item: times by stage, and of its entry into the first stage and its exit.

    ``free_ns`` is when the stage's device was done with what it did before.
    """

    free_ns: list[int]
    start_ns: list[int]
    finish_ns: list[int]
    depart_ns: list[int]
    entry_ns: int
    exit_ns: int


class SharedRecurrence:
    """The times of one pipeline's items, one after another."""

    def __init__(self, recurrence: Recurrence, shared: Shared) -> None:
        self._recurrence = recurrence
        self._shared = shared
        self._number = shared.join()
        self._rows: deque[list[int]] = deque(maxlen=recurrence.memory)
        self._until_tidy = _TIDY_ITEMS

    def step(self, demands: Sequence[Demand], ready_ns: int) -> ItemTimes:
        """The next item, which asks each stage for this."""
        rows, serve = self._rows, self._shared.serve
        passed = len(rows)
        previous = rows[-1] if rows else [0] * (self._recurrence.num_stages + 1)
        row: list[int] = []
        free: list[int] = []
        starts: list[int] = []
        finishes: list[int] = []
        entries: list[int] = []
        for index, stage in enumerate(self._recurrence.stages):
            start = stage.free_at(row, previous)
            free.append(start)
            if stage.from_source:
                start = max(start, ready_ns)
            for maker in stage.makers:
                start = max(start, row[maker])
            finish = depart = serve(start, demands[index])
            for reader, slots in stage.readers:
                if slots <= passed:
                    depart = max(depart, rows[-slots][reader])
            starts.append(start)
            finishes.append(finish)
            entries.append(min([entries[maker] for maker in stage.makers], default=start))
            row.append(depart)
        exits = self._recurrence.exits
        row.append(max([row[stage] for stage in exits]))
        rows.append(row)
        self._until_tidy -= 1
        if not self._until_tidy:
            self._until_tidy = _TIDY_ITEMS
            self._shared.reached(self._number, min(row[:-1]))
        entry = min([entries[stage] for stage in exits])
        return ItemTimes(free, starts, finishes, row[:-1], entry, row[-1])


def simulate_shared(
    demands: Sequence[Sequence[Demand]],
    channels: Sequence[ChannelSpec],
    *,
    ready_ns: Sequence[int] | None = None,
    devices: Sequence[Hashable] | None = None,
) -> Timeline:
    """As :func:`~pipeline.timeline.simulate`, for stages that share links or a host.

    ``demands`` holds for every item what it asks each stage for; item n is ready at
    ``ready_ns[n]``, by default at 0.  Raises ``ConfigError`` if the arguments do not fit together.
    """
    items = len(demands)
    stages = len(demands[0]) if items else 0
    ready = [0] * items if ready_ns is None else [int(time) for time in ready_ns]
    if len(ready) != items or any(len(row) != stages for row in demands):
        raise ConfigError(
            f"ready_ns has {len(ready)} times for {items} items, which must be as many, and every "
            f"item needs demands for {stages} stages, as the first has."
        )
    recurrence = SharedRecurrence(Recurrence(stages, channels, devices), Shared())
    times = [recurrence.step(row, at) for row, at in zip(demands, ready, strict=True)]
    return timeline_of(ready, times, stages)


def timeline_of(ready_ns: Sequence[int], times: Sequence[ItemTimes], num_stages: int) -> Timeline:
    """The times of items, one after another, as arrays; also of none."""

    def table(name: str) -> np.ndarray:
        found = np.array([getattr(one, name) for one in times], np.int64)
        return (
            found if len(times) or name in ("entry_ns", "exit_ns") else found.reshape(0, num_stages)
        )

    return Timeline(
        ready_ns=np.array(ready_ns, np.int64),
        **{name: table(name) for name in ("start_ns", "finish_ns", "depart_ns")},
        entry_ns=table("entry_ns"),
        exit_ns=table("exit_ns"),
    )
