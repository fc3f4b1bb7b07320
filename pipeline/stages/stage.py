"""One stage of a pipeline: it runs next to a chip and carries items through it.

::

    input rings ──► receive (same item from each) ─► execute ─► reserve ─► fetch ─► commit ──► rings
                                                                                      │
                              release the input slots, which upstream may fill again ◄┘

A recurrent segment's state is kept between fetch and commit (:mod:`pipeline.stages.state`).
Input slots are released only after the outputs are published.  So at any moment every item is in
some ring, and what a stage had not published when it died can be computed again from its inputs
(:meth:`Stage.resume`; see :mod:`pipeline.stages.recovery`).

Time works alike on both clocks.  A stage starts an item when its inputs are published and the
item before has left; it finishes a latency later, and leaves when all outgoing rings have a slot::

    start  = max(ready_ns of the inputs, depart of what the device did before)
    finish = start + latency
    depart = max(finish, released_ns found in the slots about to be filled again)

Virtual: these are numbers in the slots' headers, nobody waits.  Realtime: the stage publishes no
earlier than ``depart`` on CLOCK_MONOTONIC; being late once does not delay the items behind,
because the next start counts from ``depart``, not from when the stage woke up.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from devices.chip import SPIN_NS, wait_until_ns
from devices.device import ProgramContext
from devices.errors import EdgeTpuError, TensorError
from pipeline.channels import ChannelSpec, Consumer, Failure, Item, Producer, Slot
from pipeline.errors import EndOfChannel, WrongAnswer
from pipeline.observing import StatisticsPage
from pipeline.stages.demands import DemandConfig, Demands
from pipeline.stages.ends import Outgoing, incoming, outgoing
from pipeline.stages.recovery import resumption
from pipeline.stages.routes import SOURCE
from pipeline.stages.state import State

_now_ns = time.monotonic_ns


@dataclass(frozen=True)
class StageConfig:
    """What a stage is told: its place, its executable on the chip, and its channels.

    ``state_bytes`` is as in :class:`~devices.device.Loaded`.  ``generation`` counts the devices the
    segment had before.  ``condemned`` is an item that is to fail without being computed, and why.
    With ``verify``, outputs are checked against the chip's checksum of them.  ``demands`` is for
    devices that share something.
    """

    segment: int
    handle: int
    inputs: tuple[ChannelSpec, ...]
    outputs: tuple[ChannelSpec, ...]
    generation: int = 0
    condemned: tuple[int, str] | None = None
    verify: bool = False
    trace_items: int = 0
    state_bytes: int | None = 0
    demands: DemandConfig | None = None


@dataclass
class DeviceTime:
    """When the device departed from what it did last; stages that share a device share this."""

    depart_ns: int = 0


class Stopped(Exception):
    """The host asked the stage to end."""


class Stage:
    """The work on items.  ``consumers`` and ``producers`` may be of any kind of channel."""

    def __init__(
        self,
        context: ProgramContext,
        config: StageConfig,
        consumers: Sequence[Consumer],
        producers: Sequence[Producer],
        page: StatisticsPage,
        state: State | None,
        device_time: DeviceTime,
        stopping: threading.Event,
        demands: Demands | None = None,
    ) -> None:
        self._chip = context.chip
        self._chip_lock = context.chip_lock
        self._config = config
        self._segment = config.segment
        self._handle = config.handle
        self._consumers = consumers
        self._producers = producers
        self._incoming = incoming(consumers)
        self._outgoing = outgoing(producers)
        self._page = page
        self._state = state
        self._demands = demands
        self._counters = page.counters()
        self._time = device_time
        self._stopping = stopping
        self._realtime = context.chip.clock == "realtime"
        self._synthetic = context.chip.compute == "none"
        self._starts_at = getattr(context.chip, "starts_at", None)
        self._digest = getattr(context.chip, "digest", None) if config.verify else None
        self._condemned = -1 if config.condemned is None else config.condemned[0]
        self._enters = all(consumer.spec.maker == SOURCE for consumer in consumers)
        self._input_bytes, self._output_bytes = map(_size_bytes, (config.inputs, config.outputs))
        self._ahead: tuple[Outgoing, Item] | None = None

    def summary(self) -> str:
        """What it has done, for the log."""
        done = self._counters
        return (
            f"{done.items} items inferred, {done.failed_items} failed here and "
            f"{done.passed_items} before"
        )

    def resume(self) -> int:
        """Go on where the rings say the stage was; gives its next item (0 in a new pipeline)."""
        published = [producer.resume() for producer in self._producers]
        found = resumption(published)
        done = next(p for p, ahead in zip(self._producers, found.ahead, strict=True) if not ahead)
        last = done.published()
        depart_ns = 0 if last is None else last.ready_ns
        self._time.depart_ns = max(self._time.depart_ns, depart_ns)
        if any(found.ahead):
            recorded = self._producers[found.ahead.index(True)].published()
            assert recorded is not None
            pairs = zip(self._producers, found.ahead, strict=True)
            behind = [producer for producer, ahead in pairs if not ahead]
            self._ahead = outgoing(behind), recorded
        if self._state is not None:
            self._state.resume(found.next_item)
        if last is not None and self._page.stored < found.next_item:
            self._count_unseen(last)
        for consumer in self._consumers:
            consumer.resume(found.next_item, depart_ns)
            consumer.grant(consumer.spec.slots)
        for producer in self._producers:
            producer.announce()
        self._page.begin(-1)  # from now on it waits for its neighbours
        return found.next_item

    def step(self) -> bool:
        """Carry one item; False at the end of the stream, which is passed on.

        Raises :class:`~pipeline.errors.PeerDied` when the pipeline is broken.
        """
        try:
            item = self._incoming.receive()
        except EndOfChannel:
            self._outgoing.end()
            return False
        self._process(item)
        return True

    def _process(self, item: Item) -> None:
        item_id = item.item_id
        failure = item.failure
        outgoing, recorded = self._outgoing, None
        if self._ahead is not None:  # died while publishing it: the others are to get it too
            (outgoing, recorded), self._ahead = self._ahead, None
        start_ns = item.ready_ns
        previous_ns = self._time.depart_ns
        if previous_ns > start_ns:
            start_ns = previous_ns
        entry_ns = start_ns if self._enters else item.entry_ns

        latency_ns = -1
        if failure is not None:
            self._page.begin(item_id)
            self._counters.passed_items += 1
        elif recorded is not None and recorded.failure is not None:
            self._counters.failed_items += 1
            failure = recorded.failure
        elif item_id == self._condemned and self._config.condemned is not None:
            failure = self._failed(self._config.condemned[1])
        elif self._state is not None and self._state.lost is not None:
            failure = self._failed(self._state.lost)
        else:
            latency_ns, failure = self._execute(item, start_ns)
        finish_ns = start_ns
        if latency_ns >= 0:
            finish_ns += latency_ns
            if self._realtime:
                finish_ns += self._late(finish_ns)

        slot = outgoing.reserve()
        depart_ns = _now_ns() if self._realtime else slot.released_ns
        if finish_ns > depart_ns:
            depart_ns = finish_ns
        if failure is None:
            failure = self._fetch(slot)
            if failure is _AGAIN:
                again_ns, failure = self._once_more(item, slot, finish_ns)
                latency_ns += again_ns
                finish_ns += again_ns
                depart_ns = max(depart_ns, finish_ns)
            if failure is None and self._state is not None:
                self._state.keep(item_id)
        if recorded is not None:  # what some readers were told holds for all
            depart_ns, entry_ns = recorded.ready_ns, recorded.entry_ns
            finish_ns = min(finish_ns, depart_ns)
        if self._demands is not None:
            self._demands.keep(item_id, anew=recorded is None)
        ready_ns = self._wait_until(item_id, depart_ns) if self._realtime else depart_ns
        if failure is None:
            synthetic = self._synthetic or item.synthetic
            outgoing.commit(item_id, ready_ns=ready_ns, entry_ns=entry_ns, synthetic=synthetic)
        else:
            outgoing.fail(item_id, failure, ready_ns=ready_ns, entry_ns=entry_ns)

        self._time.depart_ns = depart_ns
        counters, page = self._counters, self._page
        if page.stored:
            counters.wait_input_ns += start_ns - previous_ns
        else:
            counters.first_start_ns = start_ns
        counters.wait_output_ns += depart_ns - finish_ns
        counters.last_depart_ns = depart_ns
        if latency_ns >= 0:
            page.count(latency_ns)
        self._incoming.release(depart_ns)
        page.store(counters, start_ns)  # last: until then its neighbours may have to be told

    def _execute(self, item: Item, start_ns: int) -> tuple[int, Failure | None]:
        """Run the inference: its latency, or -1 and why it failed."""
        counters, page = self._counters, self._page
        began_ns = _now_ns()
        page.begin(item.item_id, began_ns)
        try:
            with self._chip_lock:
                if self._starts_at is not None:
                    self._starts_at(start_ns)
                timing = self._chip.execute(self._handle, item.tensors)
        except Exception as error:
            self._take_back()
            return -1, self._failed(error)
        counters.host_ns += _now_ns() - began_ns
        page.depends()
        counters.input_bytes += self._input_bytes
        if self._demands is not None:
            self._demands.add(timing)
        return counters.add(timing), None

    def _fetch(self, slot: Slot) -> Failure | None:
        """Copy the outputs into the slot; says why if that failed.

        ``_AGAIN`` says that the chip's answer is nonsense: of another size than the executable
        says, or not what the chip's checksum says it sent.
        """
        try:
            with self._chip_lock:
                self._chip.fetch(self._handle, slot.tensors)
                for tensors in slot.others:
                    self._chip.fetch(self._handle, tensors)
                if self._digest is not None:
                    for tensors in (slot.tensors, *slot.others):
                        for name, tensor in tensors.items():
                            if zlib.crc32(tensor.data) != self._digest(self._handle, name):
                                return _AGAIN
        except TensorError:
            return _AGAIN
        except Exception as error:
            self._take_back()
            return self._failed(error)
        self._counters.output_bytes += self._output_bytes
        return None

    def _once_more(self, item: Item, slot: Slot, start_ns: int) -> tuple[int, Failure | None]:
        """A wrong answer may be a slip: ask again, and if it is wrong again, leave this device."""
        if not self._take_back():
            raise WrongAnswer(
                f"Device {self._chip.name!r} answered nonsense for item {item.item_id} of segment "
                f"{self._segment}, and cannot be asked again: its state is hidden."
            )
        latency_ns, failure = self._execute(item, start_ns)
        self._counters.items -= failure is None  # the same item: counted once
        if failure is None:
            failure = self._fetch(slot)
            if failure is _AGAIN:
                raise WrongAnswer(
                    f"Device {self._chip.name!r} answered nonsense for item {item.item_id} of "
                    f"segment {self._segment} twice: outputs of the wrong size or with a wrong "
                    "checksum."
                )
        return max(0, latency_ns), failure

    def _take_back(self) -> bool:
        """Have the state as it was before the item; tells whether that is possible."""
        return self._state is None or self._state.undo()

    def _failed(self, error: Exception | str) -> Failure:
        self._counters.failed_items += 1
        known = isinstance(error, EdgeTpuError | str)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        return Failure(self._segment, text, self._config.generation)

    def _late(self, finish_ns: int) -> int:
        """By how much the host could not keep up with the modelled time."""
        late_ns = _now_ns() - finish_ns
        if late_ns <= 0:
            return 0
        self._counters.overruns += 1
        self._counters.overrun_ns += late_ns
        return late_ns

    def _wait_until(self, item_id: int, depart_ns: int) -> int:
        """Wait for the time, or for the host to say stop; gives the time it is then.

        The last stretch is waited for without listening to the host, which is less punctual.
        """
        early_ns = depart_ns - _now_ns()
        if early_ns <= 0:
            return depart_ns - early_ns
        early_ns -= SPIN_NS
        if early_ns > 0:
            self._page.begin(item_id, depart_ns)  # not stuck before then
            if self._stopping.wait(early_ns / 1e9):
                raise Stopped
        return depart_ns + wait_until_ns(depart_ns)

    def _count_unseen(self, last: Item) -> None:
        """Count the item that was published by a stage which died before it counted it."""
        if last.failure is None:
            self._counters.items += 1
        elif last.failure.segment == self._segment:
            self._counters.failed_items += 1
        else:
            self._counters.passed_items += 1
        self._counters.last_depart_ns = last.ready_ns
        self._page.store(self._counters)


_AGAIN = Failure(-1, "the answer of the device is nonsense")


def _size_bytes(channels: Sequence[ChannelSpec]) -> int:
    return sum(tensor.size_bytes for channel in channels for tensor in channel.tensors)
