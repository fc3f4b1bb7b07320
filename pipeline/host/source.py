"""Where items enter: checks them, numbers them and writes them to the stages that read inputs.

The fast path copies a pushed item straight into the rings.  Only when a ring is full (or items
are waiting already) it is copied aside and the pump thread moves it on when slots become free.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from devices.device import Clock, Tensor, TensorSpec
from devices.errors import TensorError
from pipeline.channels import SharedMemoryProducer
from pipeline.errors import PeerDied
from pipeline.host.changed import Changed
from pipeline.host.recycling import Copies

TURNED_OFF = "Pipeline was turned off before."
"""The words Coral's runner uses for a push after the end."""


def checked(tensors: Mapping[str, ArrayLike], expected: Sequence[TensorSpec]) -> dict[str, Tensor]:
    """The arrays in the expected shapes, not copied.  Any order; a leading 1 may be left out.

    Raises :class:`~devices.errors.TensorError` naming the tensor, what was found and what was
    expected.
    """
    arrays: dict[str, Tensor] = {}
    for spec in expected:
        if spec.name not in tensors:
            raise _wrong_names(tensors, expected)
        array = np.asarray(tensors[spec.name])
        if array.dtype != _dtype(spec.dtype):
            raise TensorError(
                f"Input tensor {spec.name!r} has dtype {array.dtype}, but {spec.dtype} is "
                "expected; quantise or convert it first."
            )
        if array.shape != spec.shape:
            if spec.shape[:1] != (1,) or array.shape != spec.shape[1:]:
                raise TensorError(
                    f"Input tensor {spec.name!r} has shape {array.shape}, but {spec.shape} is "
                    "expected; resize or reshape it first."
                )
            array = array.reshape(spec.shape)
        arrays[spec.name] = array
    if len(tensors) != len(arrays):
        raise _wrong_names(tensors, expected)
    return arrays


_dtype = cache(np.dtype)


def _wrong_names(tensors: Mapping[str, ArrayLike], expected: Sequence[TensorSpec]) -> TensorError:
    unknown = sorted(set(tensors) - {spec.name for spec in expected})
    missing = [spec.name for spec in expected if spec.name not in tensors]
    return TensorError(
        f"The input tensors are {sorted(tensors)}, but the model needs "
        f"{[spec.name for spec in expected]}: "
        + " and ".join(
            [f"{missing} missing"] * bool(missing) + [f"{unknown} unknown"] * bool(unknown)
        )
        + "."
    )


class Source:
    """The host's end of all channels that carry graph inputs.  Safe for any number of threads."""

    def __init__(
        self,
        producers: Sequence[SharedMemoryProducer],
        inputs: Sequence[TensorSpec],
        *,
        clock: Clock,
        tokens: dict[int, Any],
        limit: int | None,
        wake: Callable[[], None],
    ) -> None:
        """``producers`` by rising reader, the first stage's first; ``wake`` stirs the pump.

        ``tokens`` by item are left there for the sink; they never leave this process.
        """
        self._producers = producers
        self._inputs = inputs
        self._copies = {spec.name: Copies(spec) for spec in inputs}
        self._realtime = clock == "realtime"
        self._tokens = tokens
        self._limit = limit
        self._wake = wake
        self._changed = Changed()
        self._backlog: deque[tuple[int, int, dict[str, Tensor]]] = deque()
        self._pushers_waiting = 0
        self._pushed = 0
        self._ended = False
        self._end_sent = False
        self._first_stage_gone = False
        self._refusal: Callable[[], Exception] | None = None
        self._closed = False
        self.tell: Callable[[], None] = wake
        """Have whoever watches the channels look at what waits here."""
        self.wake_on_push = False
        """Whether the pump wants to know of the next push; it need not be told of every one."""

    @property
    def pushed(self) -> int:
        """Items accepted so far."""
        return self._pushed

    @property
    def holds_somebody(self) -> bool:
        """Whether a push waits for room."""
        return self._pushers_waiting > 0

    @property
    def ended(self) -> bool:
        """Whether the end of the stream was announced."""
        return self._ended

    def push(
        self,
        tensors: Mapping[str, ArrayLike],
        timeout: float | None,
        ready_ns: int | None,
        token: Any = None,
    ) -> None:
        """Accept one item; see :meth:`PipelinedModelRunner.push`."""
        with self._changed.lock:
            if self._refusal is not None or self._ended or self._closed:
                self._check_open()
            arrays = checked(tensors, self._inputs)
            if self._limit is not None and self._full():
                self._wait_for_room(timeout)
            item = self._pushed
            self._pushed = item + 1
            if token is not None:
                self._tokens[item] = token
            if ready_ns is None:
                ready_ns = time.monotonic_ns() if self._realtime else 0
            if not self._backlog and self._has_slot():
                self._write(item, ready_ns, arrays)
            else:
                copies = {name: self._copies[name].of(array) for name, array in arrays.items()}
                self._backlog.append((item, ready_ns, copies))
                if len(self._backlog) == 1:  # else it is known
                    self.tell()
            if self.wake_on_push:
                self.wake_on_push = False
                self._wake()

    def end(self) -> None:
        """Announce the end of the stream.  Raises like ``push`` if it was announced before."""
        with self._changed:
            self._check_open()
            self._ended = True
            self._send_end()
            self._changed.notify_all()
            self.wake_on_push = False
            self._wake()

    @contextmanager
    def room_told(self, listener: Callable[[], None]) -> Iterator[None]:
        """Have ``listener`` called whenever another :meth:`push` may succeed, for event loops."""
        with self._changed.telling(listener):
            with self._changed:
                self._pushers_waiting += 1
                self._wake()
            try:
                yield
            finally:
                with self._changed:
                    self._pushers_waiting -= 1

    def set_limit(self, limit: int | None) -> None:
        """Change how many items may wait before the first stage."""
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    def refuse(self, refusal: Callable[[], Exception]) -> None:
        """Make every push, now and later, raise this, and let the first stage go."""
        with self._changed:
            if self._refusal is None:
                self._refusal = refusal
            self._backlog.clear()
            self._changed.notify_all()
        self.close()

    def close(self) -> None:
        """Close the channels; the first stage sees a dead peer unless the end was sent."""
        with self._changed:
            self._closed = True
            for producer in self._producers:
                producer.close()
            self._changed.notify_all()

    def abandon_after_fork(self, refusal: Callable[[], Exception]) -> None:
        """In a forked child: let go of the channels without locks, and make every push raise."""
        self._changed = Changed()
        self._refusal = refusal
        self._backlog.clear()
        self.close()

    # -- called by the pump thread --------------------------------------------------------------

    def interest(self) -> list[int]:
        """Descriptors that become readable when :meth:`service` has something to do."""
        if not (self._backlog or self._pushers_waiting):
            return []
        with self._changed:
            if self._closed or self._first_stage_gone:
                return []
            waiting = []
            if self._backlog:
                waiting = [p for p in self._producers if p.credited == p.committed]
            may_be_full = self._limit is not None and self._pushed > self._limit
            if self._pushers_waiting and may_be_full and self._producers[0] not in waiting:
                waiting.append(self._producers[0])
            return [producer.fileno() for producer in waiting]

    def service(self) -> None:
        """Move waiting items into free slots, and let waiting pushers go on."""
        if not (self._backlog or self._pushers_waiting or self._ended):
            return
        with self._changed:
            if self._closed:
                return
            while self._backlog and self._has_slot():
                self._write(*self._backlog.popleft())
            self._send_end()
            if self._pushers_waiting and not self._full():
                self._changed.notify_all()

    def repeat(self, segment: int) -> None:
        """Tell a segment that was started anew how many items were written for it."""
        with self._changed:
            if not self._closed:
                for producer in self._producers:
                    if producer.spec.reader == segment:
                        producer.announce()

    def turn_off(self, refusal: Callable[[], Exception]) -> None:
        """End the stream, drop what waits to enter, and make every push raise this."""
        with self._changed:
            if self._refusal is None:
                self._refusal = refusal
            self._backlog.clear()
            self._ended = True
            self._send_end()
            self._changed.notify_all()

    # -- helpers, all with the lock held --------------------------------------------------------

    def _check_open(self) -> None:
        if self._refusal is not None:
            raise self._refusal()
        if self._ended or self._closed:
            raise RuntimeError(TURNED_OFF)

    def _wait_for_room(self, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        self._pushers_waiting += 1
        self._wake()
        try:
            while self._full():
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    raise TimeoutError(
                        f"The input queue stayed full ({self._limit} items waiting) for "
                        f"{timeout} s; pop results, or allow a larger input_queue_size."
                    )
                self._changed.wait(remaining)
                self._check_open()
        finally:
            self._pushers_waiting -= 1

    def _full(self) -> bool:
        """Whether ``limit`` items wait before the first stage while it works on another one."""
        if self._limit is None or self._pushed <= self._limit:
            return False
        first = self._producers[0]
        self._free(first)
        released = max(0, first.credited - first.ahead)
        return self._pushed - released > self._limit

    def _has_slot(self) -> bool:
        for producer in self._producers:
            if producer.credited == producer.committed and self._free(producer) == 0:
                return False
        return True

    def _free(self, producer: SharedMemoryProducer) -> int:
        try:
            return producer.free()
        except PeerDied:
            self._first_stage_gone = True  # whose exit the host is about to be told
            return 0

    def _write(self, item: int, ready_ns: int, arrays: Mapping[str, Tensor]) -> None:
        try:
            for producer in self._producers:
                for name, view in producer.reserve().tensors.items():
                    np.copyto(view, arrays[name])
                producer.commit(item, ready_ns=ready_ns, entry_ns=ready_ns)
        except PeerDied:
            self._first_stage_gone = True  # the item is lost with the pipeline; pop says so

    def _send_end(self) -> None:
        if not self._ended or self._end_sent or self._backlog or self._closed:
            return
        self._end_sent = True
        try:
            for producer in self._producers:
                producer.end()
        except PeerDied:
            self._first_stage_gone = True
