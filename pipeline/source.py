"""Where items enter: checks them, numbers them and writes them to the stages that read inputs.

The fast path copies a pushed item straight into the rings.  Only when a ring is full (or items
are waiting already) it is copied aside and the pump thread moves it on when slots become free.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from devices.device import Clock, Tensor, TensorSpec
from devices.errors import TensorError
from pipeline.errors import PeerDied
from pipeline.shared_memory_channel import SharedMemoryProducer

TURNED_OFF = "Pipeline was turned off before."
"""The words Coral's runner uses for a push after the end."""


def checked(tensors: Mapping[str, ArrayLike], expected: Sequence[TensorSpec]) -> dict[str, Tensor]:
    """The arrays in the expected shapes, not copied.  Any order; a leading 1 may be left out.

    Raises :class:`~devices.errors.TensorError` naming the tensor, what was found and what was
    expected.
    """
    unknown = sorted(set(tensors) - {spec.name for spec in expected})
    missing = [spec.name for spec in expected if spec.name not in tensors]
    if unknown or missing:
        raise TensorError(
            f"The input tensors are {sorted(tensors)}, but the model needs "
            f"{[spec.name for spec in expected]}: "
            + " and ".join(
                [f"{missing} missing"] * bool(missing) + [f"{unknown} unknown"] * bool(unknown)
            )
            + "."
        )
    arrays: dict[str, Tensor] = {}
    for spec in expected:
        array = np.asarray(tensors[spec.name])
        if array.dtype != np.dtype(spec.dtype):
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
    return arrays


class Source:
    """The host's end of all channels that carry graph inputs.  Safe for any number of threads."""

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
        self._realtime = clock == "realtime"
        self._limit = limit
        self._wake = wake
        self._changed = threading.Condition()
        self._backlog: deque[tuple[int, int, dict[str, Tensor]]] = deque()
        self._pushers_waiting = 0
        self._pushed = 0
        self._ended = False
        self._end_sent = False
        self._first_stage_gone = False
        self._refusal: Callable[[], Exception] | None = None
        self._closed = False

    @property
    def pushed(self) -> int:
        """Items accepted so far."""
        return self._pushed

    @property
    def ended(self) -> bool:
        """Whether the end of the stream was announced."""
        return self._ended

    def push(
        self, tensors: Mapping[str, ArrayLike], timeout: float | None, ready_ns: int | None
    ) -> None:
        """Accept one item; see :meth:`PipelinedModelRunner.push`."""
        with self._changed:
            self._check_open()
            arrays = checked(tensors, self._inputs)
            if self._full():
                self._wait_for_room(timeout)
            item, self._pushed = self._pushed, self._pushed + 1
            if ready_ns is None:
                ready_ns = time.monotonic_ns() if self._realtime else 0
            if not self._backlog and self._has_slot():
                self._write(item, ready_ns, arrays)
            else:
                copies = {name: np.array(array, order="C") for name, array in arrays.items()}
                self._backlog.append((item, ready_ns, copies))
                self._wake()

    def end(self) -> None:
        """Announce the end of the stream.  Raises like ``push`` if it was announced before."""
        with self._changed:
            self._check_open()
            self._ended = True
            self._send_end()
            self._changed.notify_all()

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

    # -- called by the pump thread --------------------------------------------------------------

    def interest(self) -> list[int]:
        """Descriptors that become readable when :meth:`service` has something to do."""
        with self._changed:
            if self._closed or self._first_stage_gone:
                return []
            waiting = []
            if self._backlog:
                waiting = [p for p in self._producers if p.credited == p.committed]
            if self._pushers_waiting and self._producers[0] not in waiting:
                waiting.append(self._producers[0])
            return [producer.fileno() for producer in waiting]

    def service(self) -> None:
        """Move waiting items into free slots, and let waiting pushers go on."""
        with self._changed:
            if self._closed:
                return
            while self._backlog and self._has_slot():
                self._write(*self._backlog.popleft())
            self._send_end()
            if self._pushers_waiting and not self._full():
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
        released = max(0, first.credited - first.spec.slots)
        return self._pushed - released > self._limit

    def _has_slot(self) -> bool:
        return all(p.credited > p.committed or self._free(p) > 0 for p in self._producers)

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
