"""Where results leave: puts the outputs of an item together and hands them out in order.

A thread that waits in :meth:`Sink.pop` copies finished items out of the rings itself; while nobody
does, the pump thread does it (:mod:`pipeline.host.attendance`).  How many results may wait is
limited by the credits given to the last stage, so a result waits either in its ring or here, and
both count.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from devices.device import TensorSpec
from pipeline.channels import ChannelSpec, Failure, Item, SharedMemoryConsumer, joined
from pipeline.errors import EndOfChannel, InferenceError, PeerDied, PipelineClosed
from pipeline.host.arrivals import Arrivals
from pipeline.host.attendance import Attendance
from pipeline.host.changed import Changed
from pipeline.host.recycling import Copies
from pipeline.host.result import OnError, Result
from pipeline.host.source import Source


class Sink:
    """The host's end of all channels that carry final outputs.  Safe for any number of threads."""

    def __init__(
        self,
        consumers: Sequence[SharedMemoryConsumer],
        outputs: Sequence[TensorSpec],
        device_name: Callable[[int, int], str],
        source: Source,
        *,
        tokens: dict[int, Any],
        limit: int | None,
        wake: Callable[[], None],
        on_error: OnError = "raise",
    ) -> None:
        """``consumers`` by rising maker, the last stage's last.

        ``device_name`` gives the device of a segment in a generation; ``tokens`` by item are put
        there by ``source``, the other end of the pipeline; ``wake`` stirs the pump.
        """
        self._arrivals = Arrivals(consumers)
        made_by = {
            tensor.name: index
            for index, consumer in enumerate(consumers)
            for tensor in consumer.spec.tensors
        }
        self._outputs = [(spec.name, made_by[spec.name], Copies(spec)) for spec in outputs]
        self._device_name = device_name
        self._source = source
        self._tokens = tokens
        self._limit = limit
        self._wake = wake
        self._changed = Changed()
        self._attendance = Attendance(wake)
        self._on_error = on_error
        self._stopped: InferenceError | None = None
        self._results: deque[Result] = deque()
        self._popped = 0
        self._dropping = 0  # items below this one go nowhere
        self._awaiting_end = 0
        self._unsettled = False  # inside of what must not be interrupted
        self._fault: Exception | None = None
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
        return self._arrivals.finished

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
        while True:
            watching = False
            try:
                with self._changed.lock:
                    alone = not self._attendance.taken
                    while self._results and self._results[0].item < self._popped:
                        self._results.popleft()  # an interrupted call had taken it
                    if alone and not self._results:
                        self._fetch()
                    if self._results:
                        result = self._results[0]
                        limited = self._limit is not None and not self._closed
                        settled = not self._unsettled
                        self._unsettled |= limited
                        self._popped = result.item + 1  # from here on it is this call's
                        self._results.popleft()
                        if limited:
                            self._grant()
                            self._unsettled = not settled
                        break
                    if self._ended or self._stopped is not None:
                        return None
                    if self._loss is not None:
                        raise self._loss()
                    remaining = None if deadline is None else deadline - time.monotonic()
                    if remaining is not None and remaining <= 0:
                        raise TimeoutError(f"No result came out within {timeout} s.")
                    if not alone or self._fault is not None or not self._expecting():
                        self._changed.wait(remaining)
                        continue
                    watching = True
                    self._attendance.enter()
                self._watch(remaining)
            finally:
                if watching:
                    with self._changed.lock:
                        self._attendance.leave()
                        self._changed.notify_all()  # somebody else may have to watch now
        if result.error is not None and self._on_error != "return":
            raise result.error
        return result

    def granted_on(self, spec: ChannelSpec) -> int:
        """How many items may have been published on a channel in all."""
        return self._arrivals.granted_on(spec)

    def repeat(self, segment: int) -> None:
        """Tell a segment that was started anew how much room there is."""
        with self._changed:
            if not self._closed:
                self._arrivals.repeat(segment)

    def set_limit(self, limit: int | None) -> None:
        """Change how many results may wait."""
        with self._changed:
            self._limit = limit
            if not self._closed:
                self._grant()

    @contextmanager
    def results_told(self, listener: Callable[[], None]) -> Iterator[None]:
        """Have ``listener`` called whenever another :meth:`pop` may succeed, for event loops."""
        with self._changed.telling(listener):
            self._attendance.summon()  # event loops cannot watch
            yield

    def tell(self) -> None:
        """Something is waiting in the source: whoever watches here is to move it, too."""
        self._attendance.tell()

    def drop(self, count: int) -> None:
        """Take the next ``count`` results, now or when they come, and forget them."""
        with self._changed:
            self._dropping = self._popped + count
            while self._results and self._results[0].item < self._dropping:
                self._results.popleft()
                self._popped += 1
            if not self._closed:
                self._grant()

    def wait_done(self) -> None:
        """Wait until every item has come out, or none will any more."""
        with self._changed:
            self._awaiting_end += 1
            self._wake()
            self._changed.wait_for(lambda: self._ended or self._loss is not None)
            self._awaiting_end -= 1

    def lose(self, loss: Callable[[], Exception]) -> None:
        """Make ``pop`` raise this once the results that are there have been handed out."""
        with self._changed:
            if self._loss is None:
                self._loss = loss
            self._notify()

    def cancel(self) -> None:
        """Drop all results; every ``pop``, now and later, raises ``PipelineClosed``."""
        with self._changed:
            self._cancelled = True
            self._results.clear()
            self._tokens.clear()
            self._ended = False
            self._loss = lambda: PipelineClosed(
                "The pipeline was cancelled, its results are gone; make a new runner."
            )
            self._notify()

    def close(self) -> None:
        """Close the channels; results already here can still be popped."""
        with self._changed:
            self._closed = True
            self._notify()
            # A thread must not sleep on descriptors that are closed; it might be this one, in
            # which a signal handler or the garbage collector does this while it sleeps.
            self._changed.wait_for(lambda: not self._attendance.taken)
            self._arrivals.close()
            self._attendance.close()

    def abandon_after_fork(self, loss: Callable[[], Exception]) -> None:
        """In a forked child: let go of the channels without locks, and make every pop raise."""
        self._changed = Changed()
        self._results.clear()
        self._ended = False
        self._loss = loss
        self._attendance.abandon_after_fork()
        self.close()

    # -- called by the pump thread --------------------------------------------------------------

    def rest_s(self, needed: bool) -> float | None:
        """For how long the pump may leave the channels alone; ``None``: until it is woken.

        With ``needed``, somebody waits for room that comes with results that nobody pops.
        """
        with self._changed:
            needed = needed or self._awaiting_end > 0 or self._changed.listened
            rest_ns = self._attendance.rest_ns(needed)
            return None if rest_ns is None else rest_ns / 1e9

    def interest(self) -> tuple[int, ...]:
        """Descriptors that become readable when :meth:`collect` has something to do."""
        with self._changed:
            return self._arrivals.descriptors() if self._expecting() else ()

    def collect(self) -> None:
        """Take every item that has arrived on all channels.

        Raises what went wrong inside, also if it was in another thread.
        """
        with self._changed:
            if self._fault is not None:
                raise self._fault
            self._collect()
            stopped = self._stopped
        if stopped is not None:
            self._source.turn_off(lambda: _anew(stopped))

    # -- helpers, all with the lock held --------------------------------------------------------

    def _expecting(self) -> bool:
        return not (self._ended or self.gone or self._cancelled or self._closed)

    def _notify(self) -> None:
        self._changed.notify_all()
        self._attendance.rouse()

    def _fetch(self) -> None:
        """Collect in a thread that pops; what else follows from it is the pump's business."""
        before = self._expecting(), self._stopped
        finished = self._arrivals.finished
        try:
            self._collect()
        except Exception:
            # A signal handler raised inside, which is nobody's fault, or it happens again.
            try:
                self._collect()
            except Exception as error:
                self._fault = error
                self._wake()
                return
            raise
        if self._arrivals.finished > finished:
            self._attendance.seen()
        if before != (self._expecting(), self._stopped):
            self._wake()

    def _watch(self, remaining: float | None) -> None:
        """Wait until there may be something to collect, without the lock but entered."""
        self._source.service()
        with self._changed.lock:
            descriptors = self._arrivals.descriptors() if self._expecting() else ()
        self._attendance.wait((*descriptors, *self._source.interest()), remaining)

    def _collect(self) -> None:
        if not self._expecting():
            return
        if self._unsettled:  # it was interrupted
            self._arrivals.resync()
            self._grant()
        self._unsettled = True
        finished = self._arrivals.finished
        self._arrivals.look()
        try:
            while (items := self._arrivals.receive()) is not None:
                self._take(items)
        except EndOfChannel:
            self._ended = True
        except PeerDied:
            self.gone = True
        if self._arrivals.finished > finished:
            self._grant()  # once for all of them: a credit costs a system call
        self._unsettled = False
        if self._arrivals.finished > finished or not self._expecting():
            self._notify()

    def _take(self, items: list[Item]) -> None:
        item = items[0] if len(items) == 1 else joined(items)
        item_id, exit_ns = item.item_id, item.ready_ns
        token = self._tokens.get(item_id) if self._tokens else None
        error = None if item.failure is None else self._error(item_id, item.failure, token)
        if item_id < self._dropping:
            self._popped = item_id + 1
        elif self._results and self._results[-1].item == item_id:
            pass  # taken already when this was interrupted
        elif self._stopped is None:  # else nothing comes out any more
            self._results.append(
                Result(
                    item=item_id,
                    outputs={}
                    if error is not None
                    else {
                        name: copies.of(items[index].tensors[name])
                        for name, index, copies in self._outputs
                    },
                    entry_ns=item.entry_ns,
                    exit_ns=exit_ns,
                    synthetic=item.synthetic,
                    error=error,
                    token=token,
                )
            )
            if self._on_error == "stop" and error is not None:
                self._stopped = error
                self._limit = None  # what follows is dropped, so it needs no room
        self._arrivals.finish(exit_ns)
        if token is not None:
            self._tokens.pop(item_id, None)

    def _error(self, item_id: int, failure: Failure, token: Any) -> InferenceError:
        return InferenceError(
            item=item_id,
            segment=failure.segment,
            device=self._device_name(failure.segment, failure.generation),
            cause=failure.cause,
            token=token,
        )

    def _grant(self) -> None:
        self._arrivals.grant(None if self._limit is None else self._popped + self._limit)


def _anew(error: InferenceError) -> InferenceError:
    """A copy to raise: an exception that is raised again and again collects tracebacks."""
    return InferenceError(
        item=error.item,
        segment=error.segment,
        device=error.device,
        cause=error.cause,
        token=error.token,
    )
