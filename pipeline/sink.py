"""Where results leave: puts the outputs of an item together and hands them out in order.

The pump thread copies finished items out of the rings.  How many results may wait is limited by
the credits given to the last stage, so a result waits either in its ring or here, and both count.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devices.device import Tensor, TensorSpec
from pipeline.channel import Item
from pipeline.errors import EndOfChannel, InferenceError, PeerDied, PipelineClosed
from pipeline.shared_memory_channel import SharedMemoryConsumer


@dataclass(frozen=True)
class Result:
    """The outputs of one item and its times on the devices' clock.

    ``item`` counts pushes from 0.  ``entry_ns`` is when the first stage started on it, ``exit_ns``
    when its last output was published; the difference is its latency through the pipeline.
    ``synthetic`` outputs are zero-filled placeholders of devices that compute only time.
    """

    item: int
    outputs: dict[str, Tensor]
    entry_ns: int
    exit_ns: int
    synthetic: bool


class Sink:
    """The host's end of all channels that carry final outputs.  Safe for any number of threads."""

    def __init__(
        self,
        consumers: Sequence[SharedMemoryConsumer],
        outputs: Sequence[TensorSpec],
        devices: Sequence[str],
        *,
        limit: int | None,
        wake: Callable[[], None],
    ) -> None:
        """``consumers`` by rising maker, the last stage's last; ``devices`` by segment."""
        self._consumers = consumers
        made_by = {
            tensor.name: index
            for index, consumer in enumerate(consumers)
            for tensor in consumer.spec.tensors
        }
        self._outputs = [(spec.name, made_by[spec.name]) for spec in outputs]
        self._devices = devices
        self._limit = limit
        self._wake = wake
        self._changed = threading.Condition()
        self._results: deque[Result | InferenceError] = deque()
        self._granted = [0] * len(consumers)
        self._finished = 0
        self._popped = 0
        self._ended = False
        self._loss: Callable[[], Exception] | None = None
        self._closed = False
        self._cancelled = False
        self.gone = False
        """A stage stopped sending without ending: no item will be complete any more."""
        with self._changed:
            self._grant()

    @property
    def finished(self) -> int:
        """Items that came out, failed ones included."""
        return self._finished

    @property
    def popped(self) -> int:
        """Results handed out, failures included."""
        return self._popped

    @property
    def ended(self) -> bool:
        """Whether the end of the stream came out."""
        return self._ended

    def pop(self, timeout: float | None) -> Result | None:
        """The next result; see :meth:`PipelinedModelRunner.pop_result`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._results:
                if self._ended:
                    return None
                if self._loss is not None:
                    raise self._loss()
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    raise TimeoutError(f"No result came out within {timeout} s.")
                self._changed.wait(remaining)
            result = self._results.popleft()
            self._popped += 1
            if self._limit is not None and not self._closed:
                self._grant()
        if isinstance(result, InferenceError):
            raise result
        return result

    def set_limit(self, limit: int | None) -> None:
        """Change how many results may wait."""
        with self._changed:
            self._limit = limit
            if not self._closed:
                self._grant()

    def wait_done(self) -> None:
        """Wait until every item has come out, or none will any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._loss is not None)

    def lose(self, loss: Callable[[], Exception]) -> None:
        """Make ``pop`` raise this once the results that are there have been handed out."""
        with self._changed:
            if self._loss is None:
                self._loss = loss
            self._changed.notify_all()

    def cancel(self) -> None:
        """Drop all results; every ``pop``, now and later, raises ``PipelineClosed``."""
        with self._changed:
            self._cancelled = True
            self._results.clear()
            self._ended = False
            self._loss = lambda: PipelineClosed(
                "The pipeline was cancelled, its results are gone; make a new runner."
            )
            self._changed.notify_all()

    def close(self) -> None:
        """Close the channels; results already here can still be popped."""
        with self._changed:
            self._closed = True
            for consumer in self._consumers:
                consumer.close()

    # -- called by the pump thread --------------------------------------------------------------

    def interest(self) -> list[int]:
        """Descriptors that become readable when :meth:`collect` has something to do."""
        with self._changed:
            if not self._expecting():
                return []
            return [c.fileno() for c in self._consumers if not c.pending]

    def collect(self) -> None:
        """Take every item that has arrived on all channels."""
        with self._changed:
            finished_before = self._finished
            while self._expecting():
                arrived = [consumer.poll() for consumer in self._consumers]
                if not all(arrived):
                    break
                try:
                    items = [consumer.receive() for consumer in self._consumers]
                except EndOfChannel:
                    self._ended = True
                except PeerDied:
                    self.gone = True
                else:
                    self._take(items)
                self._changed.notify_all()
            if self._finished > finished_before and not self._closed:
                self._grant()  # once for all of them: a credit costs a system call

    # -- helpers, all with the lock held --------------------------------------------------------

    def _expecting(self) -> bool:
        return not (self._ended or self.gone or self._cancelled or self._closed)

    def _take(self, items: list[Item]) -> None:
        item_id = items[0].item_id
        exit_ns = max([item.ready_ns for item in items])
        failure = next((item.failure for item in items if item.failure is not None), None)
        if failure is not None:
            self._results.append(
                InferenceError(
                    item=item_id,
                    segment=failure.segment,
                    device=self._devices[failure.segment],
                    cause=failure.cause,
                )
            )
        else:
            self._results.append(
                Result(
                    item=item_id,
                    outputs={name: items[i].tensors[name].copy() for name, i in self._outputs},
                    entry_ns=min([item.entry_ns for item in items]),
                    exit_ns=exit_ns,
                    synthetic=any(item.synthetic for item in items),
                )
            )
        for consumer in self._consumers:
            consumer.retire(exit_ns)
        self._finished += 1

    def _grant(self) -> None:
        """Promise every free slot, of the last stage's ring no more than may wait."""
        last = len(self._consumers) - 1
        for index, consumer in enumerate(self._consumers):
            allowed = self._finished + consumer.spec.slots
            if index == last and self._limit is not None:
                allowed = min(allowed, self._popped + self._limit)
            if allowed > self._granted[index]:
                consumer.grant(allowed - self._granted[index])
                self._granted[index] = allowed
