"""Where results leave: puts the outputs of an item together and gives them to their owner.

::

    rings of the last stages ── pump: copies ─► lane of the call that pushed it ─► pop, run, ...

The rings belong to the pump thread, in which no signal handler runs.  A thread that waits for a
result may be interrupted anywhere: it takes nothing before the last step of its call.  How many
results may wait is limited by the credits given to the last stage, so a result waits either in
its ring or here, and both count.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Sequence

from devices.device import TensorSpec
from pipeline.channels import ChannelSpec, Failure, Item, SharedMemoryConsumer, joined
from pipeline.errors import EndOfChannel, InferenceError, PeerDied, PipelineClosed
from pipeline.host.arrivals import Arrivals
from pipeline.host.calls import Claim
from pipeline.host.changed import Changed
from pipeline.host.lanes import Lane, Waiting
from pipeline.host.pushed import TURNED_OFF, Pushed
from pipeline.host.recycling import Copies
from pipeline.host.result import OnError, Result
from pipeline.host.source import Source
from pipeline.host.timing import Timekeeper


class Sink:
    """The host's end of all channels that carry final outputs.

    The public half is safe for any number of threads, the other half is the pump's.
    """

    def __init__(
        self,
        consumers: Sequence[SharedMemoryConsumer],
        outputs: Sequence[TensorSpec],
        device_name: Callable[[int, int], str],
        source: Source,
        *,
        limit: int | None,
        wake: Callable[[], None],
        on_error: OnError = "raise",
        timekeeper: Timekeeper | None = None,
    ) -> None:
        """``consumers`` by rising maker, the last stage's last.

        ``device_name`` gives the device of a segment in a generation; ``source`` is the other end
        of the pipeline; ``wake`` stirs the pump; ``timekeeper`` knows better than the rings when
        items entered and left.
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
        self._limit = limit
        self._wake = wake
        self.on_error = on_error
        self._timekeeper = timekeeper
        self._done = Changed()
        self._lanes: set[weakref.ref[Lane]] = set()
        self._stopped: InferenceError | None = None
        self._ended = False
        self._loss: Callable[[], Exception] | None = None
        self._closed = False
        self._cancelled = False
        self._repeats: deque[int] = deque()
        self.gone = False
        """A stage stopped sending without ending: no item will be complete any more."""
        self.plain = self.lane()
        """The results of plain pushes."""
        self._grant()

    @property
    def finished(self) -> int:
        """Items that came out, failed ones included."""
        return self._arrivals.finished

    @property
    def popped(self) -> int:
        """Results handed out or dropped, failures included."""
        while True:
            finished = self._arrivals.finished
            waiting = sum(lane.waiting(claimed=True) for lane in self._living())
            if finished == self._arrivals.finished:
                return max(0, finished - waiting)

    @property
    def ended(self) -> bool:
        """Whether the end of the stream came out."""
        return self._ended

    def lane(self) -> Lane:
        """Room for the results of one owner, until he lets go of it."""
        lane = Lane()
        self._lanes.add(weakref.ref(lane, self._lanes.discard))
        return lane

    def look(self, lane: Lane, claim: Claim) -> tuple[bool, Waiting | None]:
        """Whether the end was reached, and the next result, this call's as long as it runs.

        It is taken when the call sets its ``result`` to ``None``, its last step.  Raises as
        :meth:`PipelinedModelRunner.pop` but for failures.
        """
        over = self._over()  # before it is known that nothing is left
        waiting = lane.claim(claim)
        if waiting is None:
            if over:
                self._check_ended()
            elif self._source.holds or self._limit is not None:
                self._wake()  # who made a change may have been interrupted before he said so
        elif self._limit is not None:
            self._wake()  # for this makes room
        return over, waiting

    def reach(self, claim: Claim, timeout: float | None) -> Waiting | None:
        """:meth:`look` for plain pushes, and wait.

        ``None`` at the end, ``TimeoutError`` after ``timeout`` s.
        """
        lane = self.plain
        over, waiting = self.look(lane, claim)
        if waiting is not None or over:
            return waiting

        def ready() -> bool:
            nonlocal over, waiting
            over, waiting = self.look(lane, claim)
            return over or waiting is not None

        if not lane.changed.wait(ready, timeout, lambda: lane.waiting(claimed=True) > 0):
            raise TimeoutError(f"No result came out within {timeout} s.")
        return waiting

    def result_of(self, waiting: Waiting) -> Result:
        """What is claimed, to be handed out; raises the error of an item that failed."""
        result = waiting.result
        assert result is not None  # it is claimed
        if result.error is not None and self.on_error != "return":
            waiting.result = None
            raise result.error
        return result

    def take(self, lane: Lane, timeout: float | None) -> Result | None:
        """The next result, for an owner with one thread; ``None`` if there is none in time.

        Raises ``RuntimeError`` where none will come any more.
        """
        result: Result | None = None

        def ready() -> bool:
            nonlocal result
            over = self._over()
            result = lane.take()
            if result is None and over:
                self._check_ended()
                raise RuntimeError(TURNED_OFF)
            return result is not None

        if not ready() and timeout != 0:
            if self._source.holds or self._limit is not None:
                self._wake()
            lane.changed.wait(ready, timeout)
        if result is not None and self._limit is not None:
            self._wake()
        return result

    def drop(self, lane: Lane) -> None:
        """Forget the results of a lane, now and when they come."""
        lane.abandon()
        self._wake()

    def set_limit(self, limit: int | None) -> None:
        """Change how many results may wait."""
        self._limit = limit
        self._wake()

    def repeat(self, segment: int) -> None:
        """Tell a segment that was started anew how much room there is."""
        self._repeats.append(segment)
        self._wake()

    def wait_done(self) -> None:
        """Wait until every item has come out, or none will any more."""
        self._done.wait(lambda: self._ended or self._loss is not None, None)

    def lose(self, loss: Callable[[], Exception]) -> None:
        """Make ``pop`` raise this once the results that are there have been handed out."""
        if self._loss is None:
            self._loss = loss
        self._tell_all()

    def cancel(self) -> None:
        """Drop all results; every ``pop``, now and later, raises ``PipelineClosed``."""
        self._loss = lambda: PipelineClosed(
            "The pipeline was cancelled, its results are gone; make a new runner."
        )
        self._cancelled = True
        for lane in self._living():
            lane.abandon()
        self._tell_all()

    def abandon_after_fork(self, loss: Callable[[], Exception]) -> None:
        """In a forked child: let go of the channels, and make every pop raise."""
        self._loss = loss
        self._cancelled = True
        for lane in self._living():
            lane.abandon()
        self._arrivals.close()

    # -- the pump's -----------------------------------------------------------------------------

    def granted_on(self, spec: ChannelSpec) -> int:
        """How many items may have been published on a channel in all."""
        return self._arrivals.granted_on(spec)

    def interest(self) -> tuple[int, ...]:
        """Descriptors that become readable when :meth:`collect` has something to do."""
        return self._arrivals.descriptors() if self._expecting() else ()

    def collect(self) -> None:
        """Take every item that has arrived on all channels."""
        if self._closed:
            return
        while self._repeats:
            self._arrivals.repeat(self._repeats.popleft())
        if self._expecting():
            self._arrivals.look()
            try:
                while self._due() and (items := self._arrivals.receive()) is not None:
                    self._take(items)
            except EndOfChannel:
                self._ended = True
                self._tell_all()
            except PeerDied:
                self.gone = True
        self._grant()  # once for all of them: a credit costs a system call

    def close(self) -> None:
        """Close the channels; results already here can still be popped."""
        self._closed = True
        self._arrivals.close()
        self._source.flight.clear()  # with the tokens of what will not come out
        for _, _, copies in self._outputs:
            copies.forget()
        self._tell_all()

    # -- helpers --------------------------------------------------------------------------------

    def _over(self) -> bool:
        return self._ended or self._stopped is not None or self._loss is not None

    def _check_ended(self) -> None:
        """Nothing is left: that is the end, or everything else is lost."""
        if self._loss is not None and (
            self._cancelled or not (self._ended or self._stopped is not None)
        ):
            raise self._loss()

    def _expecting(self) -> bool:
        return not (self._ended or self.gone or self._cancelled or self._closed)

    def _due(self) -> bool:
        return self._timekeeper is None or self._timekeeper.due()

    def _living(self) -> list[Lane]:
        lanes = [reference() for reference in tuple(self._lanes)]
        return [lane for lane in lanes if lane is not None]

    def _tell_all(self) -> None:
        self._done.tell()
        for lane in self._living():
            lane.changed.tell()

    def _take(self, items: list[Item]) -> None:
        item = items[0] if len(items) == 1 else joined(items)
        pushed = self._source.flight.popleft()
        lane = pushed.lane()
        ready_ns = item.ready_ns
        if self._timekeeper is not None:
            times = self._timekeeper.times_of(item.item_id, pushed.ready_ns)
            item.entry_ns, item.ready_ns = times
        result: Result | None = None
        if lane is not None and not lane.over and self._stopped is None:
            result = self._result(item, items, pushed)
        self._arrivals.finish(ready_ns)
        if lane is None or result is None:
            return
        lane.deliver(result)
        if self.on_error == "stop" and result.error is not None:
            stopped = self._stopped = result.error
            self._limit = None  # what follows is dropped, so it needs no room
            self._source.turn_off(lambda: _anew(stopped))
            self._tell_all()

    def _result(self, item: Item, items: list[Item], pushed: Pushed) -> Result:
        error = None
        outputs = {}
        if item.failure is not None:
            error = self._error(item.item_id, item.failure, pushed)
        else:
            outputs = {
                name: copies.of(items[index].tensors[name]) for name, index, copies in self._outputs
            }
        return Result(
            item=item.item_id,
            outputs=outputs,
            entry_ns=item.entry_ns,
            exit_ns=item.ready_ns,
            synthetic=item.synthetic,
            error=error,
            token=pushed.token,
        )

    def _error(self, item_id: int, failure: Failure, pushed: Pushed) -> InferenceError:
        return InferenceError(
            item=item_id,
            segment=failure.segment,
            device=self._device_name(failure.segment, failure.generation),
            cause=failure.cause,
            token=pushed.token,
        )

    def _grant(self) -> None:
        most = limit = self._limit
        if limit is not None:
            waiting = sum(lane.waiting(claimed=False) for lane in self._living())
            most = self._arrivals.finished + max(0, limit - waiting)
        self._arrivals.grant(most)


def _anew(error: InferenceError) -> InferenceError:
    """A copy to raise: an exception that is raised again and again collects tracebacks."""
    return InferenceError(
        item=error.item,
        segment=error.segment,
        device=error.device,
        cause=error.cause,
        token=error.token,
    )
