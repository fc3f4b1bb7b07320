"""A pipeline that runs: its channels, its stages next to their chips, and who misses whom.

Descriptors go where they belong and nowhere else.  The host creates every channel, hands each
stage duplicates of its own ends, and closes these as soon as they are handed over; of the
channels between stages it keeps only the memory, in which every unreleased item can be found.

When a stage is lost::

    device dies ─► on_exit ──► pump: refuse pushes, close the input channels, tell the others to
                               give up once they are stuck
    stages after it            work off what was published, then find their peer dead and end
    sink                       takes these results, then finds the last stage gone: pop raises
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from devices.device import Device, Loaded, ProgramHandle
from devices.errors import DeviceDied, DeviceError
from devices.launch import explain_exit
from pipeline.channel import ChannelSpec
from pipeline.errors import PipelineBroken
from pipeline.pump import Pump, WakePipe
from pipeline.routes import SOURCE, RoutePlan
from pipeline.shared_memory_channel import (
    ChannelDescriptors,
    SharedMemoryConsumer,
    SharedMemoryProducer,
    create_channel,
)
from pipeline.sink import Sink
from pipeline.source import Source
from pipeline.stage import GiveUp, PeerGone, StageConfig, stage_main
from pipeline.statistics import PipelineStatistics, StageStatistics, StatisticsPage

PATIENCE_S = 1.0
"""How long to wait for the reason after a stage was missed; a process's exit takes milliseconds."""

GRACE_S = 5.0
"""How long the stages together may take to end before the pipeline leaves without them."""

_logger = logging.getLogger(__name__)


class RunningPipeline:
    """Everything behind a :class:`~pipeline.runner.PipelinedModelRunner` but its public face.

    The pump thread and the devices' callbacks refer to this, not to the runner, which therefore
    can be collected while its threads run.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        loaded: Sequence[Loaded],
        plan: RoutePlan,
        *,
        input_limit: int | None,
        output_limit: int | None,
        busy: set[int],
    ) -> None:
        """Start; ``busy`` is where segments that did not end in time are noted at the end."""
        self.clock = devices[0].clock
        self._devices = devices
        self._plan = plan
        self._busy = busy
        # Reentrant, because the collector may drop the runner inside any call, even one of these.
        self._lock = threading.RLock()
        self._ending = threading.RLock()
        self._exits: dict[int, BaseException | None] = {}
        self._missed: tuple[int, float] | None = None
        self._broken = False
        self._shutting_down = False
        self._final: PipelineStatistics | None = None
        self._handles: list[ProgramHandle] = []
        with ExitStack() as undo:
            self._wake_pipe = WakePipe()
            undo.callback(self._wake_pipe.close)
            self._pages: list[StatisticsPage] = []
            self._memories: list[int] = []
            undo.callback(self._release_memory)
            self._open_and_start(loaded, input_limit, output_limit, undo)
            self._pump = Pump(
                self.source,
                self.sink,
                self._wake_pipe,
                supervise=self._supervise,
                on_failure=self._host_failed,
            )
            undo.pop_all()
        self._pump.start()

    def statistics(self) -> PipelineStatistics:
        """The counters now, or the last ones once the pipeline is closed."""
        with self._lock:
            return self._final or self._read_statistics()

    def finish(self) -> None:
        """Announce the end if nobody did, wait until everything came out, and release all.

        Results not popped yet stay available.
        """
        with suppress(RuntimeError):  # ended or broken already
            self.source.end()
        self.sink.set_limit(None)
        self.sink.wait_done()
        self._shut_down()

    def cancel(self) -> None:
        """Stop as soon as possible, drop what is in flight, and release all."""
        self.sink.cancel()
        self._shut_down()

    # -- building -------------------------------------------------------------------------------

    def _open_and_start(
        self,
        loaded: Sequence[Loaded],
        input_limit: int | None,
        output_limit: int | None,
        undo: ExitStack,
    ) -> None:
        plan = self._plan
        channels: dict[ChannelSpec, ChannelDescriptors] = {}
        loose: set[int] = set()  # descriptors on their way to a stage
        with ExitStack() as handed_over:
            handed_over.callback(_close_all, loose)

            def create(specs: Sequence[ChannelSpec]) -> None:
                for spec in specs:
                    channels[spec] = new = create_channel(spec)
                    self._memories.append(new.memory)
                    loose.update((*new.producer[1:], *new.consumer[1:]))

            def keep(ends: Sequence[int]) -> list[int]:
                """The host's own end of a channel: pipe ends as they are, memory duplicated."""
                loose.difference_update(ends[1:])
                return [os.dup(ends[0]), *ends[1:]]

            create(plan.out_of(SOURCE))
            self.source = Source(
                [
                    SharedMemoryProducer(spec, *keep(channels[spec].producer))
                    for spec in plan.out_of(SOURCE)
                ],
                plan.inputs,
                clock=self.clock,
                limit=input_limit,
                wake=self._wake_pipe.wake,
            )
            undo.callback(self._await_stages)
            undo.callback(self.source.close)
            undo.callback(self._abandon_stages)
            for segment, (device, executable) in enumerate(zip(self._devices, loaded, strict=True)):
                inputs, outputs = plan.into(segment), plan.out_of(segment)
                create(outputs)
                page_memory = StatisticsPage.create()
                loose.add(page_memory)
                self._pages.append(StatisticsPage(os.dup(page_memory)))
                given = [page_memory]
                for spec in inputs:
                    given += channels[spec].consumer
                for spec in outputs:
                    given += channels[spec].producer
                self._handles.append(
                    device.start_program(
                        stage_main,
                        given,
                        StageConfig(segment, executable.handle, inputs, outputs),
                        on_event=partial(self._on_event, segment),
                        on_exit=partial(self._on_exit, segment),
                    )
                )
                # The stage has its own now: while we hold an end, its death would go unnoticed.
                given = [descriptor for descriptor in given if descriptor in loose]
                loose.difference_update(given)
                _close_all(given)
            self.sink = Sink(
                [
                    SharedMemoryConsumer(spec, *keep(channels[spec].consumer))
                    for spec in plan.into(plan.num_stages)
                ],
                plan.outputs,
                [device.name for device in self._devices],
                limit=output_limit,
                wake=self._wake_pipe.wake,
            )
            undo.callback(self.sink.close)

    def _abandon_stages(self) -> None:
        """The constructor failed: stop the stages that were started."""
        self._shutting_down = True
        for handle in self._handles:
            handle.stop()

    # -- told by the devices' threads, which must not be kept -----------------------------------

    def _on_event(self, segment: int, event: Any) -> None:
        if isinstance(event, PeerGone):
            with self._lock:
                if self._missed is None:
                    self._missed = (event.missing, time.monotonic())
            self._wake_pipe.wake()

    def _on_exit(self, segment: int, error: BaseException | None) -> None:
        with self._lock:
            self._exits[segment] = error
        self._wake_pipe.wake()

    # -- the pump thread ------------------------------------------------------------------------

    def _supervise(self) -> float | None:
        """Find out whether a stage is lost; gives how long to wait for the reason."""
        if self._shutting_down or self.sink.ended:
            return None
        with self._lock:
            exits = dict(self._exits)
            if self.sink.gone and self._missed is None:
                self._missed = (self._plan.num_stages - 1, time.monotonic())
            missed = self._missed
        if not self._broken:
            culprit = next((s for s, error in exits.items() if error is not None), None)
            if culprit is None and not self.source.ended:
                culprit = next(iter(exits), None)  # left although the stream had not ended
            if culprit is None:
                if missed is None:
                    return None
                culprit, since = missed
                patience = since + PATIENCE_S - time.monotonic()
                if patience > 0:
                    return patience
            self._break(culprit, exits.get(culprit))
        if self.sink.gone:
            self.sink.lose(self._loss)
        return None

    def _break(self, segment: int, error: BaseException | None) -> None:
        self._broken = True
        self._loss = self._explain(segment, error)
        _logger.info("%s", self._loss())
        self.source.refuse(self._loss)
        for other, handle in enumerate(self._handles):
            if other != segment:
                with suppress(DeviceError):  # gone as well
                    handle.send(GiveUp())

    def _explain(self, segment: int, error: BaseException | None) -> Callable[[], Exception]:
        """Makes the exception anew for everyone who is to get it."""
        device = self._devices[segment].name
        item = self._pages[segment].load()[0].item_in_work
        exit_code = error.exit_code if isinstance(error, DeviceDied) else None
        if exit_code is not None:
            how = f"its process died, {explain_exit(exit_code)}"
        elif error is not None:
            how = str(error)
        else:
            how = "it stopped before the end of the stream (was the device closed?)"

        def loss() -> Exception:
            finished = self.sink.finished
            # It died after publishing and before saying so, if its item has come out by now.
            lost = item if item >= finished else None
            work = "while it was idle" if lost is None else f"with item {lost} in work"
            broken = PipelineBroken(
                f"The pipeline broke: device {device!r} running segment {segment} of "
                f"{self._plan.num_stages} is gone {work}: {how}. {finished} items have come out; "
                f"make a new runner on living devices and push from item {finished} on again.",
                device=device,
                segment=segment,
                exit_code=exit_code,
                item=lost,
                finished=finished,
            )
            broken.__cause__ = error
            return broken

        return loss

    def _host_failed(self, error: BaseException) -> None:
        def loss() -> Exception:
            failed = DeviceError(
                f"The pipeline stopped because its host thread failed: {error}; this is a fault "
                "of the program, please report it."
            )
            failed.__cause__ = error
            return failed

        self.source.refuse(loss)
        self.sink.lose(loss)

    # -- ending ---------------------------------------------------------------------------------

    def _shut_down(self) -> None:
        with self._ending:  # whoever comes second waits until all is released
            if not self._shutting_down:
                self._shutting_down = True
                self._release_all()

    def _release_all(self) -> None:
        for handle in self._handles if not self.sink.ended else ():
            handle.stop()
        self._pump.stop()
        self.source.close()
        self.sink.close()
        self._await_stages()
        with self._lock:
            self._final = self._read_statistics()
        self._release_memory()
        self._wake_pipe.close()

    def _await_stages(self) -> None:
        deadline = time.monotonic() + GRACE_S
        for segment, handle in enumerate(self._handles):
            if not handle.join(max(0.0, deadline - time.monotonic())):
                self._busy.add(segment)
                _logger.warning(
                    "segment %d on device %s is still busy; its device will end it when closed",
                    segment,
                    self._devices[segment].name,
                )

    def _release_memory(self) -> None:
        for page in self._pages:
            page.close()
        for memory in self._memories:
            os.close(memory)
        self._pages, self._memories = [], []

    def _read_statistics(self) -> PipelineStatistics:
        return PipelineStatistics(
            clock=self.clock,
            stages=tuple(
                StageStatistics.read(segment, self._devices[segment].name, page)
                for segment, page in enumerate(self._pages)
            ),
            pushed=self.source.pushed,
            finished=self.sink.finished,
            popped=self.sink.popped,
        )


def _close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
