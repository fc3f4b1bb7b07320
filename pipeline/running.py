"""A pipeline that runs: its channels, its stages next to their chips, and their supervision.

The host creates every channel, hands each stage duplicates of its own ends, and keeps copies of
them to hand to a successor (:mod:`pipeline.supervising.seating`).  Who notices a loss and what
follows is in :mod:`pipeline.supervising.supervision`.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from devices.device import Device, Loaded
from devices.errors import DeviceError
from devices.process import SafeLogger
from pipeline.channels import SharedMemoryConsumer, SharedMemoryProducer
from pipeline.host import OnError, Pump, Sink, Source, WakePipe, wait_for_calls
from pipeline.observing import PipelineStatistics, StageStatistics, StageTrace, TracedPage
from pipeline.stages import SOURCE, Losses, RoutePlan
from pipeline.supervising import (
    Executables,
    Replacements,
    Seat,
    Seating,
    Supervisor,
    claim,
    give_up,
    unload,
)
from pipeline.timeline import SharedTime, TimeKeeper

GRACE_S = 1.0
"""How long the stages together may take to end before the pipeline leaves without them."""

ITEM_DEADLINE_S = 60.0
"""Longest host time for one item in one stage before its device counts as hung.

A minute is a hundred times what the largest model of the zoo takes through LiteRT on one core of
a Raspberry Pi, and short enough that an unattended pipeline goes on by itself.
"""

RECOVERY_S = 30.0
"""How long it is tried to find a successor for a lost device before the pipeline breaks."""

READING_S = 1.0
"""How long to wait for who reads statistics when their memory is given back: far more than that
takes, unless it is the call that was interrupted to end the pipeline."""

_logger = SafeLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """How a pipeline behaves; see :class:`~pipeline.runner.PipelinedModelRunner`."""

    input_limit: int | None = None
    output_limit: int | None = None
    on_error: OnError = "raise"
    max_replays: int = 2
    item_deadline_s: float | None = None
    recovery_deadline_s: float = RECOVERY_S
    verify_outputs: bool = False
    trace_items: int = 0
    shared_time: SharedTime | None = None


class RunningPipeline:
    """Everything behind a :class:`~pipeline.runner.PipelinedModelRunner` but its public face.

    The pump thread and the devices' callbacks refer to this, not to the runner, which therefore
    can be collected while its threads run.
    """

    def __init__(
        self,
        executables: Executables,
        devices: Sequence[Device],
        loaded: Sequence[Loaded],
        plan: RoutePlan,
        replacements: Replacements,
        options: RunOptions,
        *,
        busy: set[int],
    ) -> None:
        """Start; ``busy`` is where segments that did not end in time are noted at the end."""
        self.clock = devices[0].clock
        self.flight = plan.capacity
        """How many items a batch or a stream has under way at most."""
        self._busy = busy
        self._executables = executables
        self._resources = ExitStack()
        self._disowned = False
        self._final: PipelineStatistics | None = None
        self._final_trace: list[StageTrace] = []
        with ExitStack() as undo:
            self._wake_pipe = WakePipe()
            undo.callback(self._wake_pipe.close)
            seating = self._seating = Seating(
                plan,
                verify=options.verify_outputs,
                trace_items=options.trace_items,
                links=options.shared_time.links if options.shared_time else None,
                on_exit=self._on_exit,
            )
            undo.callback(seating.close_memory)
            undo.callback(self._await_stages)
            undo.callback(seating.close_ends)
            producers = []
            for spec in plan.out_of(SOURCE):
                producers.append(SharedMemoryProducer(spec, *seating.producer_end(spec)))
                undo.callback(producers[-1].close)
            self.source = Source(
                producers,
                plan.inputs,
                clock=self.clock,
                limit=options.input_limit,
                wake=self._wake_pipe.wake,
            )
            consumers = []
            for spec in plan.into(plan.num_stages):
                consumers.append(SharedMemoryConsumer(spec, *seating.consumer_end(spec)))
                undo.callback(consumers[-1].close)
            self._keeper = self._timekeeper(options, plan, devices)
            self.sink = Sink(
                consumers,
                plan.outputs,
                seating.device_name,
                self.source,
                limit=options.output_limit,
                wake=self._wake_pipe.wake,
                on_error=options.on_error,
                timekeeper=self._keeper,
            )
            self._supervisor = Supervisor(
                seating,
                self.source,
                self.sink,
                replacements,
                executables,
                deadline_s=options.item_deadline_s,
                recovery_s=options.recovery_deadline_s,
                wake=self._wake_pipe.wake,
            )
            undo.callback(self._abandon_stages)
            by_device: dict[Device, list[int]] = {}
            for segment, device in enumerate(devices):
                by_device.setdefault(device, []).append(segment)
            claim(list(by_device))
            undo.callback(give_up, list(by_device))
            for device, segments in by_device.items():
                seat = Seat(tuple(segments), device, Losses(options.max_replays))
                seating.seats.append(seat)
                seating.start(seat, device, [loaded[segment] for segment in segments])
            self._pump = Pump(
                self.source,
                self.sink,
                self._wake_pipe,
                supervise=self._supervisor.check,
                on_failure=self._host_failed,
                release=self._release_all,
            )
            self._pump.start()
            undo.pop_all()
        _pipelines.add(self)

    def _timekeeper(
        self, options: RunOptions, plan: RoutePlan, devices: Sequence[Device]
    ) -> TimeKeeper | None:
        if options.shared_time is None:
            return None
        return TimeKeeper(
            options.shared_time,
            self._seating.rings,
            plan.channels,
            [id(device) for device in devices],
            trace_items=options.trace_items,
            wake=self._wake_pipe.wake,
        )

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices in use now, by segment."""
        stages = range(self._seating.plan.num_stages)
        return tuple(self._seating.seat_of(segment).device for segment in stages)

    def own(self, resources: ExitStack) -> None:
        """Release these, too, last of all."""
        self._resources = resources

    def statistics(self) -> PipelineStatistics:
        """The counters now, or the last ones once the pipeline is closed."""
        if self._final is None:
            return self._read_statistics()
        return replace(self._final, popped=self.sink.popped)

    def trace(self) -> list[StageTrace]:
        """What every stage has recorded so far, also once the pipeline is closed."""
        return self._read_trace() if self._final is None else self._final_trace

    def finish(self) -> None:
        """Announce the end if nobody did, wait until everything came out, and release all.

        Results not popped yet stay available.  May be interrupted, and called again.  Does nothing
        in a forked child.
        """
        if self._disowned:
            return
        self.source.end(again=True)
        self.sink.set_limit(None)
        self.sink.wait_done()
        self._pump.stop()

    def cancel(self) -> None:
        """Stop as soon as possible, drop what is in flight, and release all.

        May be interrupted, and called again.  Does nothing in a forked child.
        """
        if self._disowned:
            return
        self.sink.cancel()
        self._pump.stop()

    def abandon_after_fork(self) -> None:
        """In a forked child: let go of everything, and leave the stages alone.

        Otherwise the child would hold pipe ends open whose closing the stages wait for.
        """
        if self._disowned or self._pump.ended:
            return
        self._disowned = True
        owner = os.getppid()

        def refusal() -> Exception:
            return DeviceError(
                f"This runner belongs to process {owner} and this is process {os.getpid()}, forked "
                "from it; make runners in the process that uses them."
            )

        self._final_trace = self._read_trace()
        self._final = self._read_statistics()
        self.source.abandon_after_fork(refusal)
        self.sink.abandon_after_fork(refusal)
        self._seating.close_ends()
        self._seating.close_memory()
        self._wake_pipe.abandon_after_fork()
        self._executables.close()

    # -- told by other threads -------------------------------------------------------------------

    def _on_exit(self, seat: Seat, program: int, error: BaseException | None) -> None:
        self._supervisor.on_exit(seat, program, error)

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

    def _release_all(self) -> None:
        """Called by the pump thread, its last act: nothing can interrupt it there."""
        with self._resources:
            self._supervisor.stop(GRACE_S)
            self._abandon_stages()
            self.source.close()
            self.sink.close()
            self._seating.close_ends()
            self._await_stages()
            self._final_trace = self._read_trace()
            self._final = self._read_statistics()
            readers = {RunningPipeline.statistics.__code__, RunningPipeline.trace.__code__}
            wait_for_calls(readers, READING_S)
            self._seating.close_memory()
            self._wake_pipe.close()
            late = [seat.device for seat in self._seating.seats if seat.running_late]
            unload([one for one in self._supervisor.extra if not any(one[0] is d for d in late)])
            give_up([seat.device for seat in self._seating.seats])

    def _abandon_stages(self) -> None:
        for seat in self._seating.seats:
            if seat.handle is not None:
                seat.handle.stop()

    def _await_stages(self) -> None:
        deadline = time.monotonic() + GRACE_S
        for seat in self._seating.seats:
            if seat.handle is not None and not seat.handle.join(
                max(0.0, deadline - time.monotonic())
            ):
                seat.running_late = True
                self._busy.update(seat.segments)
                _logger.warning(
                    "segment %s on device %s is still busy; its device will end it when closed",
                    ", ".join(map(str, seat.segments)),
                    seat.device.name,
                )

    def _read_statistics(self) -> PipelineStatistics:
        supervisor = self._supervisor
        stages = [
            StageStatistics.read(
                segment,
                self._seating.seat_of(segment).device.name,
                page,
                replays=supervisor.replays[segment],
                restarts=supervisor.restarts[segment],
            )
            for segment, page in enumerate(self._seating.pages)
        ]
        if (keeper := self._keeper) is not None:
            stages = [replace(s, counters=keeper.corrected(s.segment, s.counters)) for s in stages]
        return PipelineStatistics(
            clock=self.clock,
            stages=tuple(stages),
            pushed=self.source.pushed,
            finished=self.sink.finished,
            popped=self.sink.popped,
        )

    def _read_trace(self) -> list[StageTrace]:
        traces = [
            StageTrace(segment, self._seating.seat_of(segment).device.name, *page.records())
            for segment, page in enumerate(self._seating.pages)
            if isinstance(page, TracedPage)
        ]
        return traces if self._keeper is None else [self._keeper.retold(one) for one in traces]


_pipelines: weakref.WeakSet[RunningPipeline] = weakref.WeakSet()


def _abandon_after_fork() -> None:
    for pipeline in list(_pipelines):
        pipeline.abandon_after_fork()


os.register_at_fork(after_in_child=_abandon_after_fork)
