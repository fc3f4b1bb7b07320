"""Where items enter: numbers them and writes them to the stages that read inputs.

::

    push ── checks, copies ─► inbox ── pump: has the ring a slot? ─► rings of the first stages

A thread that pushes may be interrupted anywhere.  It touches nothing but the inbox, and that in
single steps of the interpreter: before ``append`` the item is not pushed, behind it it is.  All
the rest belongs to the pump thread, in which no signal handler runs.
"""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from devices.device import Clock, TensorSpec
from pipeline.channels import SharedMemoryProducer
from pipeline.errors import PeerDied
from pipeline.host.changed import Changed, Telling
from pipeline.host.inputs import checked
from pipeline.host.lanes import Lane
from pipeline.host.pushed import TURNED_OFF, Pushed
from pipeline.host.recycling import Copies
from pipeline.host.snapshots import snapshot


class Source:
    """The host's end of all channels that carry graph inputs.

    The public half is safe for any number of threads, the other half is the pump's.
    """

    def __init__(
        self,
        producers: Sequence[SharedMemoryProducer],
        inputs: Sequence[TensorSpec],
        *,
        clock: Clock,
        limit: int | None,
        wake: Callable[[], None],
    ) -> None:
        """``producers`` by rising reader, the first stage's first; ``wake`` stirs the pump."""
        self._producers = producers
        self._inputs = inputs
        self._copies = {spec.name: Copies(spec) for spec in inputs}
        self._realtime = clock == "realtime"
        self._limit = limit
        self._wake = wake
        self._changed = Changed()
        self._inbox: deque[Pushed] = deque()
        self._undecided = False  # something in the inbox may not be accepted yet
        self._entering = False
        self._entered = 0
        self._end: dict[str, object] = {}
        self._end_sent = False
        self._refusal: Callable[[], Exception] | None = None
        self._repeats: deque[int] = deque()
        self._released = False
        self._first_stage_gone = False
        self._closed = False
        self.flight: deque[Pushed] = deque()
        """Items that have entered and not come out yet; only the pump's."""

    @property
    def pushed(self) -> int:
        """Items accepted so far."""
        while True:
            entered = self._entered
            if self._limit is None:
                waiting = len(self._inbox)
            else:
                waiting = sum(pushed.accepted for pushed in snapshot(self._inbox))
            if not self._entering and entered == self._entered:
                return entered + waiting
            time.sleep(0)  # the pump is between the two numbers

    @property
    def holds(self) -> bool:
        """Whether items wait here."""
        return bool(self._inbox)

    @property
    def ended(self) -> bool:
        """Whether the end of the stream was announced."""
        return bool(self._end)

    def push(
        self,
        lane: Lane,
        tensors: Mapping[str, ArrayLike],
        timeout: float | None,
        ready_ns: int | None = None,
        token: Any = None,
    ) -> bool:
        """Accept one item for this lane; False if there was no room for ``timeout`` seconds.

        Otherwise as :meth:`PipelinedModelRunner.push`.
        """
        pushed = self.offer(lane, tensors, ready_ns, token)
        if pushed.accepted and not self._end_sent:
            return True
        kept = False
        try:
            # Whether there is room is for the pump to say, which takes a moment.
            at_once = timeout == 0
            wait_s = None if at_once else timeout
            self._changed.wait(lambda: self.settled(pushed, at_once=at_once), wait_s)
            kept = pushed.accepted or not self._withdraw(pushed)
        finally:
            if not kept:
                self._withdraw(pushed)
        return kept

    def offer(
        self,
        lane: Lane,
        tensors: Mapping[str, ArrayLike],
        ready_ns: int | None = None,
        token: Any = None,
    ) -> Pushed:
        """Put an item into the inbox; it is accepted at once unless their number is limited."""
        self._check_open()
        copies = {
            name: self._copies[name].of(array)
            for name, array in checked(tensors, self._inputs).items()
        }
        if ready_ns is None:
            ready_ns = time.monotonic_ns() if self._realtime else 0
        pushed = Pushed(weakref.ref(lane), copies, ready_ns, token, self._limit is None)
        self._inbox.append(pushed)
        self._wake()
        return pushed

    def settled(self, pushed: Pushed, *, at_once: bool = False) -> bool:
        """Whether an offer is accepted; ``at_once`` also if there was no room for it.

        Raises what ``push`` does after the end.
        """
        if pushed not in self._inbox and not pushed.entered:
            self._check_open()
            raise RuntimeError(TURNED_OFF)
        if pushed.accepted:  # but the stream may have ended before it
            return pushed.entered or not self._end_sent
        return at_once and pushed.looked

    def retract(self, pushed: Pushed) -> None:
        """Undo an offer; if it is on its way already, its result is dropped."""
        if not self._withdraw(pushed):
            pushed.lane = weakref.ref(Lane())

    def end(self, *, again: bool = False) -> None:
        """Announce the end of the stream.

        Raises like ``push`` if it was announced before, unless it may be ``again``.
        """
        mine = object()
        if not again:
            self._check_open()
        if self._end.setdefault("by", mine) is not mine and not again:
            raise RuntimeError(TURNED_OFF)
        self._wake()

    def _withdraw(self, pushed: Pushed) -> bool:
        """Take an offer out of the inbox; whether it was still there."""
        try:
            self._inbox.remove(pushed)
        except ValueError:
            return False
        return True

    def room_told(self, listener: Callable[[], None]) -> Telling:
        """Have ``listener`` called whenever an offer may be settled, for event loops."""
        return self._changed.telling(listener)

    def set_limit(self, limit: int | None) -> None:
        """Change how many items may wait before the first stage."""
        self._limit = limit
        self._undecided = True
        self._wake()

    def refuse(self, refusal: Callable[[], Exception]) -> None:
        """Make every push, now and later, raise this, and let the first stage go."""
        if self._refusal is None:
            self._refusal = refusal
        self._released = True
        self._inbox.clear()
        self._changed.tell()
        self._wake()

    def turn_off(self, refusal: Callable[[], Exception]) -> None:
        """End the stream, drop what waits to enter, and make every push raise this."""
        if self._refusal is None:
            self._refusal = refusal
        self._inbox.clear()
        self._end.setdefault("by", None)
        self._changed.tell()
        self._wake()

    def repeat(self, segment: int) -> None:
        """Tell a segment that was started anew how many items were written for it."""
        self._repeats.append(segment)
        self._wake()

    def abandon_after_fork(self, refusal: Callable[[], Exception]) -> None:
        """In a forked child: let go of the channels, and make every push raise."""
        self._changed = Changed()
        self._refusal = refusal
        self._entering = False
        self.close()

    # -- the pump's -----------------------------------------------------------------------------

    def interest(self) -> list[int]:
        """Descriptors that become readable when :meth:`service` has something to do."""
        if not self._inbox or self._closed or self._first_stage_gone:
            return []
        waiting = [p for p in self._producers if p.credited == p.committed]
        if self._undecided and self._producers[0] not in waiting:
            waiting.append(self._producers[0])
        return [producer.fileno() for producer in waiting]

    def service(self) -> None:
        """Move waiting items into free slots, and settle what was offered."""
        if self._released:
            self.close()
        if self._closed:
            return
        while self._repeats:
            segment = self._repeats.popleft()
            for producer in self._producers:
                if producer.spec.reader == segment:
                    producer.announce()
        changed = entered = False
        while True:
            self._look()
            changed |= self._accept()
            entered = False
            with suppress(IndexError):  # withdrawn just now
                while self._has_slot() and (head := self._inbox[0]).accepted:
                    entered |= self._enter(head)
            if not (entered and self._inbox):
                break
        changed |= entered
        if self._end:
            changed |= self._send_end()
        if changed:
            self._changed.tell()

    def close(self) -> None:
        """Close the channels; the first stage sees a dead peer unless the end was sent."""
        self._closed = True
        for producer in self._producers:
            producer.close()
        self._inbox.clear()
        for copies in self._copies.values():
            copies.forget()
        self._changed.tell()

    def _check_open(self) -> None:
        if self._refusal is not None:
            raise self._refusal()
        if self._end or self._closed:
            raise RuntimeError(TURNED_OFF)

    def _accept(self) -> bool:
        """Decide about what was offered; whether there is news."""
        limit = self._limit
        if limit is None and not self._undecided:
            return False
        first = self._producers[0]
        released = max(0, first.credited - first.ahead)
        self._undecided, news = False, False
        for position, pushed in enumerate(snapshot(self._inbox)):
            if pushed.accepted:
                continue
            # ``limit`` items wait before the first stage while it works on another one.
            if limit is None or self._entered + position - released <= limit:
                pushed.accepted = news = True
            else:
                self._undecided = True
                news |= not pushed.looked
                pushed.looked = True
        return news

    def _enter(self, pushed: Pushed) -> bool:
        """Take an item out of the inbox and write it; whether it was still there."""
        item = self._entered
        self._entering = pushed.entered = True
        try:
            self._inbox.remove(pushed)
            self._entered = item + 1
        except ValueError:
            pushed.entered = False
            return False
        finally:
            self._entering = False
        self.flight.append(pushed)
        try:
            for producer in self._producers:
                for name, view in producer.reserve().tensors.items():
                    np.copyto(view, pushed.tensors[name])
                producer.commit(item, ready_ns=pushed.ready_ns, entry_ns=pushed.ready_ns)
        except PeerDied:
            self._first_stage_gone = True  # the item is lost with the pipeline; pop says so
        pushed.tensors = {}
        return True

    def _look(self) -> None:
        """Find out what the stages have released, where it matters.

        Only here, and before anything is decided by it: what is found out ends no sleep any more.
        """
        for producer in self._producers:
            first = producer is self._producers[0]
            if producer.credited == producer.committed or (first and self._limit is not None):
                try:
                    producer.free()
                except PeerDied:
                    self._first_stage_gone = True  # whose exit the host is about to be told

    def _has_slot(self) -> bool:
        return all(producer.credited > producer.committed for producer in self._producers)

    def _send_end(self) -> bool:
        """Say that nothing follows, once nothing waits; whether somebody is refused for it."""
        if not self._end_sent:
            # Said before it is looked again: whoever has put in an item and finds it not said may
            # rely on it that his item is seen here.
            self._end_sent = True
            if self._inbox:
                self._end_sent = False
                return False
            with suppress(PeerDied):
                for producer in self._producers:
                    producer.end()
        late = bool(self._inbox)
        self._inbox.clear()
        return late
