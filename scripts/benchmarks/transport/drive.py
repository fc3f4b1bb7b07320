"""The host's side of a measurement: send items, take them out again, keep their time stamps."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .item import (
    ARRIVED,
    HEADER_BYTES,
    HEADER_WORDS,
    SENT,
    SEQUENCE,
    WORK_NS,
    Tensor,
    new_tensor,
    words,
)
from .pipelines import Pipeline

Rows = NDArray[np.int64]
"""One row of 16 words per item; see :mod:`transport.item`."""

MIN_ITEMS = 20


@dataclass(frozen=True)
class Mode:
    """One kind of measurement: how many items are under way and how long every stage works."""

    name: str
    one_in_flight: bool
    work_ns: int = 0

    def window(self, full: int) -> int:
        """Items under way at most."""
        return 1 if self.one_in_flight else full


@dataclass(frozen=True)
class Limits:
    """When a measurement ends: after this many items, or this long if enough items came."""

    max_items: int
    max_ns: int

    def min_items(self, window: int) -> int:
        """Items that are sent however long they take: enough to leave out start and end."""
        return min(self.max_items, max(4 * window, MIN_ITEMS))


LATENCY = Mode("latency", one_in_flight=True)
SATURATED = Mode("saturated", one_in_flight=False)


def working(work_ns: int) -> Mode:
    """Every stage is busy for ``work_ns`` with each item, and items keep coming."""
    return Mode(f"working {work_ns / 1e6:g} ms", one_in_flight=False, work_ns=work_ns)


def drive(pipeline: Pipeline, mode: Mode, limits: Limits) -> Rows:
    """Measure a running pipeline.  Raises ``RuntimeError`` if an item comes back changed."""
    window = mode.window(pipeline.window)
    source = _Source(pipeline, mode, limits, window)
    sink = _Sink(pipeline)
    if pipeline.sends_may_block and window > 1:
        _drive_with_sender_thread(source, sink, window)
    else:
        while True:
            while sink.received + window > source.sent and source.send():
                pass
            if sink.received == source.sent:
                break
            sink.receive()
    return sink.rows()


def _drive_with_sender_thread(source: _Source, sink: _Sink, window: int) -> None:
    room = threading.Semaphore(window)
    sent = threading.Semaphore(0)
    ended = False

    def send_all() -> None:
        nonlocal ended
        while True:
            room.acquire()
            more = source.send()
            ended = not more
            sent.release()
            if not more:
                return

    sender = threading.Thread(target=send_all)
    sender.start()
    while True:
        sent.acquire()
        if ended and sink.received == source.sent:
            break
        sink.receive()
        room.release()
    sender.join()


class _Source:
    """Sends numbered items until the limits are reached."""

    def __init__(self, pipeline: Pipeline, mode: Mode, limits: Limits, window: int) -> None:
        self.sent = 0
        self._pipeline = pipeline
        self._tensor = new_tensor(pipeline.size_bytes)
        self._words = words(self._tensor)
        self._words[WORK_NS] = mode.work_ns
        self._max_items = limits.max_items
        self._min_items = limits.min_items(window)
        self._end_ns = time.monotonic_ns() + limits.max_ns

    def send(self) -> bool:
        """Send the next item; False when there is none."""
        now_ns = time.monotonic_ns()
        if self.sent >= self._max_items or (self.sent >= self._min_items and now_ns > self._end_ns):
            return False
        word = self._words
        word[SEQUENCE] = word[-1] = self.sent
        self.sent += 1
        word[SENT] = time.monotonic_ns()
        self._pipeline.send(self._tensor)
        return True


class _Sink:
    """Takes items, checks their first and last word, keeps their stamps; the last one whole."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.received = 0
        self._pipeline = pipeline
        self._arrived_ns: list[int] = []
        self._headers: list[bytes] = []
        self._ends: list[bytes] = []
        self._last: Tensor | None = None

    def receive(self) -> None:
        self._last = tensor = self._pipeline.receive()
        self._arrived_ns.append(time.monotonic_ns())
        self.received += 1
        self._headers.append(tensor[:HEADER_BYTES].tobytes())
        self._ends.append(tensor[-8:].tobytes())

    def rows(self) -> Rows:
        rows = np.frombuffer(b"".join(self._headers), np.int64).reshape(-1, HEADER_WORDS).copy()
        rows[:, ARRIVED] = self._arrived_ns
        ends = np.frombuffer(b"".join(self._ends), np.int64)
        expected = np.arange(self.received)
        if not (np.array_equal(rows[:, SEQUENCE], expected) and np.array_equal(ends, expected)):
            raise RuntimeError("items came back out of order, or torn between start and end")
        body = slice(HEADER_BYTES, -8)
        assert self._last is not None
        if not np.array_equal(self._last[body], new_tensor(self._last.size)[body]):
            raise RuntimeError("the last item came back with other bytes than were sent")
        return rows
