"""One stage of a pipeline: the program that runs next to a chip and carries items through it.

::

    input rings ──► receive (same item from each) ─► execute ─► reserve ─► fetch ─► commit ──► rings
                                                                                      │
                              release the input slots, which upstream may fill again ◄┘

Input slots are released only after the outputs are published.  So at any moment every item is in
some ring, and what a stage had not published when it died can be computed again from its inputs.

Time works alike on both clocks.  A stage starts an item when its inputs are published and the
item before has left; it finishes a latency later, and leaves when all outgoing rings have a slot::

    start  = max(ready_ns of the inputs, depart of the item before)
    finish = start + latency
    depart = max(finish, released_ns found in the slots about to be filled again)

Virtual: these are numbers in the slots' headers, nobody waits.  Realtime: the stage publishes no
earlier than ``depart`` on CLOCK_MONOTONIC; being late once does not delay the items behind,
because the next start counts from ``depart``, not from when the stage woke up.
"""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain

from devices.clock import SPIN_NS, wait_until_ns
from devices.device import ProgramContext, Tensor
from devices.errors import EdgeTpuError
from pipeline.channel import ChannelSpec, Consumer, Failure, Item, Producer
from pipeline.errors import ChannelError, EndOfChannel, PeerDied
from pipeline.routes import SOURCE
from pipeline.shared_memory_channel import SharedMemoryConsumer, SharedMemoryProducer
from pipeline.statistics import StageCounters, StatisticsPage


@dataclass(frozen=True)
class StageConfig:
    """What a stage is told: its place, its executable on the chip, and its channels.

    The descriptors come in this order: the statistics page, then those of each input channel's
    consumer, then those of each output channel's producer.
    """

    segment: int
    handle: int
    inputs: tuple[ChannelSpec, ...]
    outputs: tuple[ChannelSpec, ...]


@dataclass(frozen=True)
class PeerGone:
    """Reported to the host: stage ``missing`` is gone, and its neighbour waits for a decision."""

    missing: int


@dataclass(frozen=True)
class GiveUp:
    """Sent by the host: whoever is missing will not be replaced; end when you get stuck."""


class _Stopped(Exception):
    """The host asked the stage to end, or a neighbour is gone for good."""


def stage_main(context: ProgramContext) -> None:
    """The program: open the channels, run until the end, close everything."""
    config: StageConfig = context.config
    descriptors = iter(context.fds)
    with ExitStack() as closing:
        closing.callback(_close, descriptors)  # what is left of them if something fails on the way
        page = StatisticsPage(next(descriptors))
        closing.callback(page.close)
        consumers: list[Consumer] = []
        for spec in config.inputs:
            ends = next(descriptors), next(descriptors), next(descriptors)
            consumers.append(SharedMemoryConsumer(spec, *ends))
            closing.callback(consumers[-1].close)
        producers: list[Producer] = []
        for spec in config.outputs:
            ends = next(descriptors), next(descriptors), next(descriptors)
            producers.append(SharedMemoryProducer(spec, *ends))
            closing.callback(producers[-1].close)
        Stage(context, config, consumers, producers, page).run()


class Stage:
    """The loop over items.  ``consumers`` and ``producers`` may be of any kind of channel."""

    def __init__(
        self,
        context: ProgramContext,
        config: StageConfig,
        consumers: Sequence[Consumer],
        producers: Sequence[Producer],
        page: StatisticsPage,
    ) -> None:
        self._context = context
        self._chip = context.chip
        self._segment = config.segment
        self._handle = config.handle
        self._consumers = consumers
        self._producers = producers
        self._page = page
        self._counters = StageCounters()
        self._realtime = context.chip.clock == "realtime"
        self._synthetic = context.chip.compute == "none"
        self._from_stages = [
            index for index, consumer in enumerate(consumers) if consumer.spec.maker != SOURCE
        ]
        self._input_bytes = _size_bytes(config.inputs)
        self._output_bytes = _size_bytes(config.outputs)
        self._depart_ns = 0
        self._first = True
        self._given_up = False

    def run(self) -> None:
        """Carry items until the end of the stream, a stop, or the loss of a neighbour."""
        try:
            for consumer in self._consumers:
                consumer.grant(consumer.spec.slots)
            while (items := self._receive()) is not None:
                self._process(items)
            for producer in self._producers:
                producer.end()
        except PeerDied as error:
            self._context.report(PeerGone(error.stage))
            self._await_decision()
        except _Stopped:
            pass

    def _receive(self) -> list[Item] | None:
        """The next item from every input channel; ``None`` at the end of the stream."""
        items: list[Item] = []
        ended = 0
        for consumer in self._consumers:
            try:
                items.append(consumer.receive())
            except EndOfChannel:
                ended += 1
        if ended == len(self._consumers):
            return None
        if ended or any(item.item_id != items[0].item_id for item in items):
            raise ChannelError(
                f"The input channels of segment {self._segment} disagree: {ended} of them ended, "
                f"the others hold items {[item.item_id for item in items]}."
            )
        return items

    def _process(self, items: list[Item]) -> None:
        item_id = items[0].item_id
        self._page.begin(item_id)
        start_ns = max([item.ready_ns for item in items])
        if self._depart_ns > start_ns:
            start_ns = self._depart_ns
        entry_ns = min([items[i].entry_ns for i in self._from_stages], default=start_ns)
        synthetic = self._synthetic or any(item.synthetic for item in items)

        failure = next((item.failure for item in items if item.failure is not None), None)
        if failure is not None:
            self._counters.passed_items += 1
            latency_ns = 0
        else:
            latency_ns, failure = self._execute(items)
        finish_ns = self._finish(start_ns, latency_ns, failure)

        slots = [producer.reserve() for producer in self._producers]
        if self._realtime:
            depart_ns = max(finish_ns, time.monotonic_ns())
        else:
            depart_ns = max([finish_ns, *[slot.released_ns for slot in slots]])
        if failure is None:
            failure = self._fetch([slot.tensors for slot in slots])
        ready_ns = self._wait_until(depart_ns) if self._realtime else depart_ns
        for producer in self._producers:
            if failure is None:
                producer.commit(item_id, ready_ns=ready_ns, entry_ns=entry_ns, synthetic=synthetic)
            else:
                producer.fail(item_id, failure, ready_ns=ready_ns, entry_ns=entry_ns)

        self._count(start_ns, finish_ns, depart_ns)
        for consumer in self._consumers:
            consumer.release(depart_ns)

    def _execute(self, items: list[Item]) -> tuple[int, Failure | None]:
        """Run the inference: its latency, or why it failed."""
        inputs: Mapping[str, Tensor] = items[0].tensors
        if len(items) > 1:
            inputs = dict(chain.from_iterable(item.tensors.items() for item in items))
        counters = self._counters
        began_ns = time.monotonic_ns()
        try:
            with self._context.chip_lock:
                timing = self._chip.execute(self._handle, inputs)
        except Exception as error:
            return 0, self._failed(error)
        counters.host_ns += time.monotonic_ns() - began_ns
        counters.input_bytes += self._input_bytes
        latency_ns = counters.add(timing)
        self._page.count(latency_ns)
        return latency_ns, None

    def _fetch(self, outputs: list[Mapping[str, Tensor]]) -> Failure | None:
        """Copy the outputs into the slots; says why if that failed."""
        try:
            with self._context.chip_lock:
                for tensors in outputs:
                    self._chip.fetch(self._handle, tensors)
        except Exception as error:
            return self._failed(error)
        self._counters.output_bytes += self._output_bytes
        return None

    def _failed(self, error: Exception) -> Failure:
        self._counters.failed_items += 1
        text = str(error) if isinstance(error, EdgeTpuError) else f"{type(error).__name__}: {error}"
        return Failure(self._segment, text)

    def _finish(self, start_ns: int, latency_ns: int, failure: Failure | None) -> int:
        """When the device is done; later than modelled if the host could not keep up."""
        finish_ns = start_ns + latency_ns
        if self._realtime and failure is None:
            late_ns = time.monotonic_ns() - finish_ns
            if late_ns > 0:
                self._counters.overruns += 1
                self._counters.overrun_ns += late_ns
                finish_ns += late_ns
        return finish_ns

    def _wait_until(self, depart_ns: int) -> int:
        """Wait for the time, or for the host to say stop; gives the time it is then.

        The last stretch is waited for without looking at the inbox, which is less punctual.
        """
        while (early_ns := depart_ns - time.monotonic_ns() - SPIN_NS) > 0:
            try:
                message = self._context.inbox.get(timeout=early_ns / 1e9)
            except queue.Empty:
                break
            self._heed(message)
        return depart_ns + wait_until_ns(depart_ns)

    def _await_decision(self) -> None:
        """A neighbour is gone: stay, with everything not yet released, until the host decides."""
        try:
            while not self._given_up:
                self._heed(self._context.inbox.get())
        except _Stopped:
            pass

    def _heed(self, message: tuple[object, tuple[int, ...]] | None) -> None:
        if message is None:
            raise _Stopped
        if isinstance(message[0], GiveUp):
            self._given_up = True

    def _count(self, start_ns: int, finish_ns: int, depart_ns: int) -> None:
        counters = self._counters
        if self._first:
            self._first = False
            counters.first_start_ns = start_ns
        else:
            counters.wait_input_ns += start_ns - self._depart_ns
        counters.wait_output_ns += depart_ns - finish_ns
        counters.last_depart_ns = self._depart_ns = depart_ns
        self._page.store(counters)


def _close(descriptors: Iterator[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _size_bytes(channels: Sequence[ChannelSpec]) -> int:
    return sum(tensor.size_bytes for channel in channels for tensor in channel.tensors)
