"""Which stages run on which device, and the channels between them, as the host holds them.

A *seat* is a device with the segments it runs.  The host keeps every end of every channel that a
stage has, and its memory.  So when a device dies its neighbours notice nothing: they wait, as for
a slow stage, and the device that takes the seat is given the same ends.  Only when nobody takes
it the host closes its copies, and the neighbours find their peers dead.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from devices.device import Device, Loaded, ProgramHandle, Sharing
from devices.errors import DeviceError
from devices.nursery import import_early
from pipeline.channels import ChannelDescriptors, ChannelSpec, create_channel, published_count
from pipeline.observing import StatisticsPage, create_page, open_page
from pipeline.stages import (
    SOURCE,
    DemandConfig,
    DemandRing,
    Losses,
    ProgramConfig,
    Repeat,
    RoutePlan,
    StageConfig,
    create_state_memory,
    item_lost,
    ring_slots,
    runnable,
    stage_main,
)

START_NS = 3_000_000_000
"""How long a program may take to begin, before its deadline counts: it imports this package."""

import_early(stage_main.__module__)  # a stage, and so its successor, begins sooner

OnExit = Callable[["Seat", int, BaseException | None], None]


@dataclass(eq=False)
class Seat:
    """A device and the segments it runs.

    ``program`` counts the programs started on the seat, the last at ``took_s`` (monotonic); one
    that did not end in time at the end of the pipeline was ``running_late``.  It was ``asked`` so
    often to repeat its totals, and ``asked_at`` that time (monotonic, in seconds) first without an
    answer yet.  ``condemned`` is an item that is not to be computed again, with its segment before
    it and the reason behind it.
    """

    segments: tuple[int, ...]
    device: Device
    losses: Losses
    program: int = 0
    took_s: float = 0.0
    running: bool = False
    running_late: bool = False
    handle: ProgramHandle | None = None
    asked: int = 0
    asked_at: float = 0.0
    condemned: tuple[int, int, str] | None = None


class Seating:
    """The seats of a pipeline, its channels and its statistics pages."""

    def __init__(
        self,
        plan: RoutePlan,
        *,
        verify: bool,
        trace_items: int,
        links: Mapping[str, int] | None,
        on_exit: OnExit,
    ) -> None:
        """Open everything; :meth:`close_ends` and :meth:`close_memory` release it.

        ``links`` are the numbers of links that devices share; ``None`` if they share nothing.
        """
        self.plan = plan
        self.seats: list[Seat] = []
        self._verify = verify
        self._trace_items = trace_items
        self._on_exit = on_exit
        self._channels: dict[ChannelSpec, ChannelDescriptors] = {}
        self._ends: set[int] = set()
        self._device_names: dict[tuple[int, int], str] = {}
        self.pages: list[StatisticsPage] = []
        self._page_memories: list[int] = []
        self._links: Mapping[str, int] = links or {}
        self.rings: list[DemandRing] = []
        """Of demands, where devices share something; by segment."""
        self._ring_memories: list[int] = []
        self._demand_slots = 0 if links is None else ring_slots(plan.channels)
        self._state_memories: dict[int, int] = {}
        try:
            for spec in plan.channels:
                self._channels[spec] = new = create_channel(spec)
                self._ends.update((*new.producer[1:], *new.consumer[1:]))
            for _ in range(plan.num_stages):
                self._page_memories.append(create_page(trace_items))
                self.pages.append(open_page(os.dup(self._page_memories[-1]), trace_items))
                if self._demand_slots:
                    self._ring_memories.append(DemandRing.create(self._demand_slots))
                    memory = os.dup(self._ring_memories[-1])
                    self.rings.append(DemandRing(memory, self._demand_slots))
        except BaseException:
            self.close_ends()
            self.close_memory()
            raise

    def producer_end(self, spec: ChannelSpec) -> tuple[int, int, int]:
        """The host's own end of a channel, which the caller owns from here on."""
        memory, *pipes = self._channels[spec].producer
        memory = os.dup(memory)
        self._ends.difference_update(pipes)
        return memory, pipes[0], pipes[1]

    def consumer_end(self, spec: ChannelSpec) -> tuple[int, int, int]:
        """The host's own end of a channel, which the caller owns from here on."""
        memory, *pipes = self._channels[spec].consumer
        memory = os.dup(memory)
        self._ends.difference_update(pipes)
        return memory, pipes[0], pipes[1]

    def start(self, seat: Seat, device: Device, loaded: Sequence[Loaded]) -> None:
        """Run the segments of a seat on this device.  Raises ``DeviceError``."""
        stages: list[StageConfig] = []
        given: list[int] = []
        for segment, executable in zip(seat.segments, loaded, strict=True):
            inputs, outputs = self.plan.into(segment), self.plan.out_of(segment)
            condemned = seat.condemned
            stages.append(
                StageConfig(
                    segment,
                    executable.handle,
                    inputs,
                    outputs,
                    generation=seat.program,
                    condemned=condemned[1:] if condemned and condemned[0] == segment else None,
                    verify=self._verify,
                    trace_items=self._trace_items,
                    state_bytes=executable.state_bytes,
                    demands=self._demands_on(device),
                )
            )
            self.pages[segment].begin(-1, time.monotonic_ns() + START_NS)
            self._device_names[segment, seat.program] = device.name
            given.append(self._page_memories[segment])
            if executable.state_bytes:
                if segment not in self._state_memories:
                    self._state_memories[segment] = create_state_memory(executable.state_bytes)
                given.append(self._state_memories[segment])
            if self._demand_slots:
                given.append(self._ring_memories[segment])
            for spec in inputs:
                given += self._channels[spec].consumer
            for spec in outputs:
                given += self._channels[spec].producer
        self.pages[seat.segments[0]].answer(0)
        seat.asked = 0
        seat.running = True  # before its exit can be told
        try:
            seat.handle = device.start_program(
                stage_main,
                given,
                ProgramConfig(tuple(stages)),
                on_event=_ignore,
                on_exit=partial(self._on_exit, seat, seat.program),
            )
        except BaseException:
            seat.running = False
            raise
        seat.device = device

    def repeat(self, segments: tuple[int, ...]) -> Callable[[], None]:
        """Note that the neighbours of these segments have to say again how far they are.

        Gives what asks them, which may take a while where one is stopped.
        """
        neighbours = {spec.maker for spec in self.plan.channels if spec.reader in segments}
        neighbours |= {spec.reader for spec in self.plan.channels if spec.maker in segments}
        asked: list[ProgramHandle] = []
        for seat in self.seats:
            if seat.handle is not None and not neighbours.isdisjoint(seat.segments):
                if not self.owes_answer(seat):
                    seat.asked_at = time.monotonic()
                seat.asked += 1
                asked.append(seat.handle)

        def ask() -> None:
            for handle in asked:
                with suppress(DeviceError):  # gone: its successor says so when it starts
                    handle.send(Repeat(segments))

        return ask

    def owes_answer(self, seat: Seat) -> bool:
        """Whether a seat was asked to repeat something and has not done so."""
        return self.pages[seat.segments[0]].answers() < seat.asked

    def device_name(self, segment: int, generation: int) -> str:
        """The device that ran a segment when it was in that generation."""
        return self._device_names[segment, generation]

    def seat_of(self, segment: int) -> Seat:
        """Where a segment runs."""
        return next(seat for seat in self.seats if segment in seat.segments)

    def next_item(self, segment: int) -> int:
        """The first item that the segment has not published everywhere."""
        return min(self._published(spec) for spec in self.plan.out_of(segment))

    def item_lost(self, seat: Seat) -> tuple[int, int | None]:
        """The segment and the item that a dead seat had in work; any segment if it was idle."""
        for segment in seat.segments:
            item = item_lost(self.pages[segment].work()[0], self.next_item(segment))
            if item is not None:
                return segment, item
        return seat.segments[0], None

    def waits_for_nobody(
        self, segment: int, next_item: int, granted: Callable[[ChannelSpec], int]
    ) -> bool:
        """Whether the segment should do something at any moment.

        ``granted`` is how much the host has room for.  A neighbour counts only as far as it has
        certainly said so: the memory shows what is published before the pipe tells, and the one
        to blame for what the pipe does not tell is the neighbour.
        """
        if self.pages[segment].work()[0] in range(next_item):
            return True  # published, but not told or released yet: it is about to
        neighbours = {spec.maker for spec in self.plan.into(segment)}
        neighbours |= {spec.reader for spec in self.plan.out_of(segment)}
        if any(self.owes_answer(s) for s in self.seats if not neighbours.isdisjoint(s.segments)):
            return False  # which may be what it waits for
        available: list[int] = []
        room: list[int] = []
        for spec in self.plan.into(segment):
            published = self._published(spec)
            if spec.maker != SOURCE:
                item, busy_since_ns = self.pages[spec.maker].work()
                if item < 0 < busy_since_ns:
                    return False  # it is starting and has announced nothing yet
                published -= item == published - 1
            available.append(published)
        for spec in self.plan.out_of(segment):
            if spec.reader == self.plan.num_stages:
                room.append(granted(spec))
                continue
            item, busy_since_ns = self.pages[spec.reader].work()
            if item < 0 < busy_since_ns:
                return False  # it is starting and has granted nothing yet
            released = item if item >= 0 else self.next_item(spec.reader)
            room.append(released + self._channels[spec].ahead)
        return runnable(next_item, available, room)

    def _demands_on(self, device: Device) -> DemandConfig | None:
        if not self._demand_slots:
            return None
        sharing = getattr(device, "sharing", Sharing())
        link = -1 if sharing.link is None else self._links[sharing.link]
        return DemandConfig(self._demand_slots, link, sharing.host_ns_per_stage)

    def _published(self, spec: ChannelSpec) -> int:
        return published_count(self._channels[spec].memory, spec)

    def close_ends(self) -> None:
        """From now on, whoever misses a peer finds it dead.  Safe to call twice."""
        while self._ends:
            os.close(self._ends.pop())

    def close_memory(self) -> None:
        """Close the rest."""
        for page in self.pages:
            page.close()
        for ring in self.rings:
            ring.close()
        for channel in self._channels.values():
            os.close(channel.memory)
        states = self._state_memories.values()
        for memory in (*self._page_memories, *self._ring_memories, *states):
            os.close(memory)
        self._channels, self.pages, self._page_memories, self._state_memories = {}, [], [], {}
        self.rings, self._ring_memories = [], []


def _ignore(event: Any) -> None:
    """Stages report nothing."""
