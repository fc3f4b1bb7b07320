"""Hops made of what Python itself brings: Queue, SimpleQueue, Pipe, and queue.Queue for threads."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from ..item import Tensor
from ..stage import OwnTensor

_CONTEXT = multiprocessing.get_context("forkserver")


class _End:
    """An end with nothing to open; ``discard`` and ``close`` where there is something."""

    def open(self) -> None: ...

    def discard(self) -> None: ...

    def close(self) -> None: ...


class _QueueSender(_End):
    """``multiprocessing.Queue.put`` pickles later, in a thread of its own: it needs a copy."""

    def __init__(self, hop: Any) -> None:
        self._queue = hop

    def send(self, tensor: Tensor) -> None:
        self._queue.put(tensor.copy())

    def close(self) -> None:
        self._queue.close()
        self._queue.join_thread()


class _QueueReceiver(_End):
    def __init__(self, hop: Any) -> None:
        self._queue = hop

    def receive_into(self, tensor: Tensor) -> None:
        np.copyto(tensor, self._queue.get())

    def receive(self) -> Tensor:
        tensor: Tensor = self._queue.get()
        return tensor

    def close(self) -> None:
        self._queue.close()


def connect_queue(size_bytes: int, slots: int, directory: Path) -> tuple[Any, Any]:
    """A bounded ``multiprocessing.Queue``."""
    hop = _CONTEXT.Queue(maxsize=slots)
    return _QueueSender(hop), _QueueReceiver(hop)


class _SimpleQueueSender(_End):
    def __init__(self, hop: Any) -> None:
        self._queue = hop

    def send(self, tensor: Tensor) -> None:
        self._queue.put(tensor)

    def close(self) -> None:
        self._queue.close()


def connect_simple_queue(size_bytes: int, slots: int, directory: Path) -> tuple[Any, Any]:
    """A ``multiprocessing.SimpleQueue``; bounded by what its pipe holds (64 KiB)."""
    hop = _CONTEXT.SimpleQueue()
    return _SimpleQueueSender(hop), _QueueReceiver(hop)


class _PipeSender(_End):
    """The array's description in band, its bytes out of band (pickle protocol 5)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, tensor: Tensor) -> None:
        buffers: list[pickle.PickleBuffer] = []
        self._connection.send_bytes(
            pickle.dumps(tensor, protocol=5, buffer_callback=buffers.append)
        )
        self._connection.send_bytes(buffers[0].raw())

    def discard(self) -> None:
        self._connection.close()

    def close(self) -> None:
        self._connection.close()


class _PipeReceiver(OwnTensor, _End):
    """Reads straight into the tensor, the fastest this can be written."""

    def __init__(self, connection: Connection, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self._connection = connection

    def receive_into(self, tensor: Tensor) -> None:
        description = self._connection.recv_bytes()
        self._connection.recv_bytes_into(tensor)
        pickle.loads(description, buffers=[tensor])

    def discard(self) -> None:
        self._connection.close()

    def close(self) -> None:
        self._connection.close()


def connect_pipe(size_bytes: int, slots: int, directory: Path) -> tuple[Any, Any]:
    """A one-way ``multiprocessing.Pipe``; bounded by what it holds (64 KiB)."""
    reader, writer = _CONTEXT.Pipe(duplex=False)
    return _PipeSender(writer), _PipeReceiver(reader, size_bytes)


class _ThreadQueueSender(_End):
    """The queue passes a reference, so the tensor, which is used again, has to be copied."""

    def __init__(self, hop: queue.Queue[Tensor]) -> None:
        self._queue = hop

    def send(self, tensor: Tensor) -> None:
        self._queue.put(tensor.copy())


class _ThreadQueueReceiver(_End):
    def __init__(self, hop: queue.Queue[Tensor]) -> None:
        self._queue = hop

    def receive_into(self, tensor: Tensor) -> None:
        np.copyto(tensor, self._queue.get())

    def receive(self) -> Tensor:
        return self._queue.get()


def connect_thread_queue(size_bytes: int, slots: int, directory: Path) -> tuple[Any, Any]:
    """A bounded ``queue.Queue`` between two threads."""
    hop: queue.Queue[Tensor] = queue.Queue(maxsize=slots)
    return _ThreadQueueSender(hop), _ThreadQueueReceiver(hop)
