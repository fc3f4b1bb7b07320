"""The program that runs next to a chip: one stage, or several that share the device.

Stages on one device take turns in a fixed order, whatever the host's scheduler does::

    item 0: stage a, stage b, ...    item 1: stage a, stage b, ...    item 2: ...

Each carries its item before the next one looks for it, so the device is a serial resource on
the virtual clock too, and times are the same on every host.  It cannot deadlock: the oldest
unfinished item is always the one whose turn it is where it waits.

The stages stay after the end of the stream until the host lets them go, because until then one
of their neighbours may die and its successor needs to hear from them again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from devices.device import ProgramContext
from devices.process import SafeLogger, add_log_fields
from pipeline.channels import Consumer, Producer, SharedMemoryConsumer, SharedMemoryProducer
from pipeline.errors import PeerDied
from pipeline.observing import StatisticsPage, open_page
from pipeline.stages.demands import Demands
from pipeline.stages.stage import DeviceTime, Stage, StageConfig, Stopped
from pipeline.stages.state import HiddenState, KeptState, State

_logger = SafeLogger(__name__)


@dataclass(frozen=True)
class ProgramConfig:
    """The stages of one device, in the order of their segments.

    The descriptors come in this order, stage after stage: the statistics page, the memory of its
    state if that is kept, its ring of demands if devices share something, then those of each input
    channel's consumer, then those of each output channel's producer.
    """

    stages: tuple[StageConfig, ...]


@dataclass(frozen=True)
class Repeat:
    """Sent by the host: these segments were started anew, so tell them again how far you are."""

    segments: tuple[int, ...]


def stage_main(context: ProgramContext) -> None:
    """The program: open the channels, carry items until the end, close everything."""
    config: ProgramConfig = context.config
    segments = [stage.segment for stage in config.stages]
    add_log_fields(segment=segments[0] if len(segments) == 1 else "+".join(map(str, segments)))
    descriptors = iter(context.fds)
    with ExitStack() as closing:
        closing.callback(_close, descriptors)  # what is left of them if something fails on the way
        stopping = threading.Event()
        device_time = DeviceTime()
        stages: list[Stage] = []
        ends: list[Consumer | Producer] = []
        pages: list[StatisticsPage] = []
        for stage in config.stages:
            page = open_page(next(descriptors), stage.trace_items)
            pages.append(page)
            closing.callback(page.close)
            state: State | None = None
            if stage.state_bytes:
                state = KeptState(context, stage.handle, next(descriptors), stage.state_bytes)
                closing.callback(state.close)
            elif stage.state_bytes is None:
                state = HiddenState(stage.segment)
            demands: Demands | None = None
            if stage.demands is not None:
                demands = Demands(next(descriptors), stage.demands)
                closing.callback(demands.close)
            consumers: list[Consumer] = []
            for spec in stage.inputs:
                taken = next(descriptors), next(descriptors), next(descriptors)
                consumers.append(SharedMemoryConsumer(spec, *taken))
                closing.callback(consumers[-1].close)
            producers: list[Producer] = []
            for spec in stage.outputs:
                taken = next(descriptors), next(descriptors), next(descriptors)
                producers.append(SharedMemoryProducer(spec, *taken))
                closing.callback(producers[-1].close)
            ends += [*consumers, *producers]
            stages.append(
                Stage(
                    context,
                    stage,
                    consumers,
                    producers,
                    page,
                    state,
                    device_time,
                    stopping,
                    demands,
                )
            )
        positions = [stage.resume() for stage in stages]
        listener = _Listener(context, ends, pages[0], stopping)
        listener.start()
        closing.callback(listener.end)  # before any end is closed
        _logger.info("the stage is ready")
        try:
            carry(stages, positions)
            stopping.wait()
        except (PeerDied, Stopped):
            pass  # the pipeline is broken, or the host wants the stages to end
        _logger.info("the stage ended; %s", "; ".join(stage.summary() for stage in stages))


def carry(stages: Sequence[Stage], positions: Sequence[int]) -> None:
    """Carry items through all stages in turn until the end of the stream.

    The first turn is only for those whose next item is the oldest: the others are done with it.
    """
    turn = [stage for stage, item in zip(stages, positions, strict=True) if item == min(positions)]
    while all([stage.step() for stage in turn]):  # noqa: C419  (all of them pass the end on)
        turn = list(stages)
        if len(turn) == 1:
            while turn[0].step():
                pass
            return


class _Listener:
    """Hears the host while the stages work: they may wait for what this one has to repeat."""

    def __init__(
        self,
        context: ProgramContext,
        ends: Sequence[Consumer | Producer],
        page: StatisticsPage,
        stopping: threading.Event,
    ) -> None:
        self._inbox = context.inbox
        self._ends = ends
        self._page = page
        self._stopping = stopping
        self._thread = threading.Thread(
            target=self._listen, name=f"{threading.current_thread().name} listener", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._inbox.put((None, ()))
        self._thread.join()

    def _listen(self) -> None:
        answers = 0
        while True:
            message = self._inbox.get()
            if message is None:
                self._stopping.set()
            elif isinstance(message[0], Repeat):
                self._repeat(message[0].segments)
                answers += 1
                self._page.answer(answers)
            else:
                return

    def _repeat(self, segments: Sequence[int]) -> None:
        for end in self._ends:
            if isinstance(end, Producer):
                if end.spec.reader in segments:
                    end.announce()
            elif end.spec.maker in segments:
                end.regrant()


def _close(descriptors: Iterator[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
