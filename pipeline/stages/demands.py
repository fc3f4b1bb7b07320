"""What every item asked of its devices and of what they share, for the host to make times of.

Where devices share a link or a host, when an item is served depends on stages that are far ahead
and far behind.  No stage can know that, so each writes down what its inferences ask for, and the
host works out the times when the item has come out (:mod:`pipeline.timeline`).

A ring in unnamed shared memory, one record for each item, written before the item is published.
It has more room than there are items on their way, so no record is overwritten before it is read.
A successor computes an item of its dead predecessor again and writes its record again, unless the
item was published already.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from devices.chip import SharedTiming
from devices.device import Timing
from pipeline.channels import ChannelSpec, map_memory, unnamed_memory

Phase = tuple[int, int]
"""How long a part of an inference takes alone, and how long it occupies the link, in ns."""

_PHASES = 6
_RECORD = struct.Struct(f"<qq{2 * _PHASES}qQ")
"""Link, host_ns, the phases, and last the item's number from 1."""


@dataclass(frozen=True)
class Demand:
    """What one inference asks for: its phases, in their order, and meanwhile time of the host.

    ``link`` numbers the link that it uses, -1 for one of its own.
    """

    phases: tuple[Phase, ...] = ()
    link: int = -1
    host_ns: int = 0

    @property
    def latency_ns(self) -> int:
        """How long its phases take with nobody in their way."""
        return sum(max(alone, link) for alone, link in self.phases)


def phases_of(timing: Timing) -> tuple[Phase, ...]:
    """The phases of an inference: request, parameters, input, computing, output, CPU.

    Parameters are streamed while the chip computes, so both are one phase.
    """
    load = given = streamed = fetched = 0
    if isinstance(timing, SharedTiming):
        use = timing.use
        load, given, streamed = use.load_ns, use.input_ns, use.streaming_ns
        fetched = use.output_ns
    return (
        (timing.overhead_ns, 0),
        (timing.parameter_load_ns, load),
        (timing.input_ns, given),
        (timing.compute_ns + timing.streaming_ns, streamed),
        (timing.output_ns, fetched),
        (timing.cpu_ns, 0),
    )


@dataclass(frozen=True)
class DemandConfig:
    """What a stage is told of it: the slots of its ring, its device's link, and what every item
    takes of the host."""

    slots: int
    link: int = -1
    host_ns: int = 0


def ring_slots(channels: Sequence[ChannelSpec]) -> int:
    """More than the items that can be between a stage and the host."""
    return sum(channel.slots for channel in channels) + 2


class DemandRing:
    """One stage's records; takes ownership of the descriptor it is given."""

    def __init__(self, memory: int, slots: int) -> None:
        self._slots = slots
        try:
            self._mapping = map_memory(memory, slots * _RECORD.size)
        finally:
            os.close(memory)

    @staticmethod
    def create(slots: int) -> int:
        """The memory of a ring; the caller hands out duplicates."""
        return unnamed_memory(slots * _RECORD.size)

    def write(self, item: int, demand: Demand) -> None:
        """Keep what an item asked for."""
        phases = demand.phases or ((0, 0),) * _PHASES
        numbers = [number for phase in phases for number in phase]
        offset = item % self._slots * _RECORD.size
        _RECORD.pack_into(self._mapping, offset, demand.link, demand.host_ns, *numbers, item + 1)

    def read(self, item: int) -> Demand:
        """What an item asked for, which has been published behind it."""
        offset = item % self._slots * _RECORD.size
        link, host_ns, *numbers, written = _RECORD.unpack_from(self._mapping, offset)
        if written != item + 1:
            raise RuntimeError(f"a stage wrote down nothing of item {item}, but of {written - 1}")
        phases = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        return Demand(phases, link, host_ns)

    def close(self) -> None:
        """Unmap the memory."""
        self._mapping.close()


class Demands:
    """The stage's side: adds up what the inferences of an item ask for."""

    def __init__(self, memory: int, config: DemandConfig) -> None:
        """``memory`` is that of the ring, and this object's from here on."""
        self._ring = DemandRing(memory, config.slots)
        self._config = config
        self._phases: tuple[Phase, ...] = ()

    def add(self, timing: Timing) -> None:
        """An inference of the item in work; as a rule there is one."""
        more = phases_of(timing)
        if self._phases:
            pairs = zip(self._phases, more, strict=True)
            more = tuple((a + c, b + d) for (a, b), (c, d) in pairs)
        self._phases = more

    def keep(self, item: int, *, anew: bool) -> None:
        """The item is about to be published, ``anew`` unless a predecessor has begun to.

        Then what that one wrote down holds, as do the times that it published.
        """
        if anew and self._phases:
            self._ring.write(item, Demand(self._phases, self._config.link, self._config.host_ns))
        elif anew:  # it failed here or before, and took nothing
            self._ring.write(item, Demand())
        self._phases = ()

    def close(self) -> None:
        """Unmap the memory."""
        self._ring.close()
