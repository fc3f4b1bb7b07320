"""Hops of faster-fifo: a circular buffer in shared memory under a mutex and condition variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faster_fifo
import numpy as np

from ..item import Tensor

_FOREVER_S = 1e6
"""Its blocking calls always have a time limit."""

_PICKLE_BYTES = 1024
"""More than pickling adds to an array."""


class _End:
    def __init__(self, hop: faster_fifo.Queue) -> None:
        self._queue = hop

    def open(self) -> None: ...

    def discard(self) -> None: ...

    def close(self) -> None: ...


class _Sender(_End):
    def send(self, tensor: Tensor) -> None:
        self._queue.put(tensor, timeout=_FOREVER_S)


class _Receiver(_End):
    def receive_into(self, tensor: Tensor) -> None:
        np.copyto(tensor, self._queue.get(timeout=_FOREVER_S))

    def receive(self) -> Tensor:
        tensor: Tensor = self._queue.get(timeout=_FOREVER_S)
        return tensor


def _as_array(message: Any) -> Tensor:
    return np.frombuffer(message, np.uint8)


def connect_pickled(size_bytes: int, slots: int, directory: Path) -> tuple[Any, Any]:
    """As it comes: messages are pickled."""
    hop = faster_fifo.Queue((size_bytes + _PICKLE_BYTES) * slots, maxsize=slots)
    return _Sender(hop), _Receiver(hop)


def connect_bytes(size_bytes: int, slots: int, directory: Path) -> tuple[Any, Any]:
    """With its own hooks used to pass bytes without pickling."""
    hop = faster_fifo.Queue(
        (size_bytes + _PICKLE_BYTES) * slots, maxsize=slots, dumps=bytes, loads=_as_array
    )
    return _Sender(hop), _Receiver(hop)
