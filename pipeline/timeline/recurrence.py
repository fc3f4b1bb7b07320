"""The recurrence of a pipeline's departures, item by item.

With the latency ``L_i(n)`` of item n in stage i::

    start_i(n)  = max(ready(n) if i reads a graph input,  depart_p(n) of every maker p,
                      depart_i(n-1))
    finish_i(n) = start_i(n) + L_i(n)
    depart_i(n) = max(finish_i(n),  depart_j(n-S) of every reader j of a channel with S slots)
    exit(n)     = max(depart_i(n)) over the stages i that make a final output

Stages that share a device take turns, each item passing all of them before the next one.  There
``depart_i(n-1)`` in the first line is the departure from what the device did before: the stage
before i on the device for the same item, or the last of them for the item before.

A stage keeps its item until every channel it publishes to has a free slot, and a slot is free
again once its reader departed.  A queue of capacity K is a ring of ``S = K + 1`` slots, so this
is the classical ``depart_i(n) = max(finish_i(n), start_{i+1}(n-K))`` of a line with blocking after
service.  The running pipeline carries the same times in the headers of its slots; the two agree
to the nanosecond (``tests/pipeline/test_virtual_time.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.errors import ConfigError
from pipeline.channels import ChannelSpec
from pipeline.stages import SOURCE
from pipeline.timeline.straight import departures

Times = NDArray[np.int64]
"""Nanoseconds."""

Latency = int | Callable[[int], int]
"""Nanoseconds, or a function that gives them for the time at which an inference starts."""


@dataclass(frozen=True)
class StageLinks:
    """What a stage waits for."""

    from_source: bool
    makers: tuple[int, ...]
    readers: tuple[tuple[int, int], ...]
    """Reader and slots of each outgoing channel."""
    before: int
    """The stage its device served before."""
    same_item: bool
    """Whether that was with the same item; else it was with the one before."""

    def free_at(self, row: Sequence[int], previous: Sequence[int]) -> int:
        """When its device was done, by this item's departures so far and the previous item's."""
        return (row if self.same_item else previous)[self.before]


class Recurrence:
    """The stages' connections and the recurrence over them.

    A row holds the departures of one item from stages 0 to n-1, then its exit: the host counts as
    stage n, which is done with an item at once.
    """

    def __init__(
        self,
        num_stages: int,
        channels: Sequence[ChannelSpec],
        devices: Sequence[Hashable] | None = None,
    ) -> None:
        self.num_stages = num_stages
        devices = range(num_stages) if devices is None else devices
        if len(devices) != num_stages:
            raise ConfigError(
                f"devices names {len(devices)} devices, but there are {num_stages} stages, each "
                "of which needs one."
            )
        for channel in channels:
            if not SOURCE <= channel.maker < channel.reader <= num_stages or channel.slots < 1:
                raise ConfigError(
                    f"A channel from stage {channel.maker} to stage {channel.reader} with "
                    f"{channel.slots} slots is impossible in a pipeline of {num_stages} stages."
                )
        self.stages = []
        for stage in range(num_stages):
            incoming = [channel.maker for channel in channels if channel.reader == stage]
            turns = [other for other in range(num_stages) if devices[other] == devices[stage]]
            before = turns[turns.index(stage) - 1]
            self.stages.append(
                StageLinks(
                    from_source=SOURCE in incoming,
                    makers=tuple(maker for maker in incoming if maker != SOURCE),
                    readers=tuple((c.reader, c.slots) for c in channels if c.maker == stage),
                    before=before,
                    same_item=before < stage,
                )
            )
            if not incoming:
                raise ConfigError(f"Stage {stage} has no incoming channel, so it never starts.")
        self.exits = [channel.maker for channel in channels if channel.reader == num_stages]
        if not self.exits:
            raise ConfigError(f"No channel leads to stage {num_stages}, the exit of the pipeline.")
        self.memory = max(channel.slots for channel in channels)
        """How many items back a departure can depend on."""

    def any_item(self, latencies: Times, ready: Times) -> Times:
        """Departures for latencies (a row per item) and arrivals without any pattern."""
        return departures(tuple(self.stages), tuple(self.exits), self.memory, latencies, ready)

    def step(self, rows: list[list[int]], latencies: Sequence[Latency], ready: int) -> None:
        """Add the departures of the next item to ``rows``, those of the items before it."""
        passed = len(rows)
        previous = rows[-1] if rows else None
        row: list[int] = []
        for index, stage in enumerate(self.stages):
            if previous is not None:
                time = stage.free_at(row, previous)
            else:
                time = row[stage.before] if stage.same_item else 0
            if stage.from_source and ready > time:
                time = ready
            for maker in stage.makers:
                if row[maker] > time:
                    time = row[maker]
            latency = latencies[index]
            time += latency if isinstance(latency, int) else latency(time)
            for reader, slots in stage.readers:
                if slots <= passed and rows[-slots][reader] > time:
                    time = rows[-slots][reader]
            row.append(time)
        row.append(max([row[stage] for stage in self.exits]))
        rows.append(row)
