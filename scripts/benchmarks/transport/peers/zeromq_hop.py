"""Hops of ZeroMQ: PUSH and PULL over a Unix socket (``ipc://``)."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from ..item import Tensor


class _End:
    kind: int
    binds = False

    def __init__(self, address: str, slots: int) -> None:
        self._address = address
        self._slots = slots
        self._socket: zmq.Socket[bytes] | None = None

    def open(self) -> None:
        self._socket = zmq.Context.instance().socket(self.kind)
        self._socket.set_hwm(self._slots)
        if self.binds:
            self._socket.bind(self._address)
        else:
            self._socket.connect(self._address)

    def discard(self) -> None: ...

    def close(self) -> None:
        assert self._socket is not None
        self._socket.close()


class _Sender(_End):
    kind = zmq.PUSH

    def send(self, tensor: Tensor) -> None:
        assert self._socket is not None
        # Without the copy ZeroMQ would send whatever the tensor holds later.
        self._socket.send(tensor, copy=True)


class _Receiver(_End):
    kind = zmq.PULL
    binds = True

    def receive_into(self, tensor: Tensor) -> None:
        assert self._socket is not None
        np.copyto(tensor, self.receive())

    def receive(self) -> Tensor:
        assert self._socket is not None
        return np.frombuffer(self._socket.recv(copy=False), np.uint8)

    def close(self) -> None:
        super().close()
        # Called after the sender's close: waits until what was sent has left the process.
        zmq.Context.instance().term()


class _ReceiverInto(_Receiver):
    """pyzmq 26.4 and newer read into memory they are given."""

    def receive_into(self, tensor: Tensor) -> None:
        assert self._socket is not None
        self._socket.recv_into(tensor)


def connect(size_bytes: int, slots: int, directory: Path) -> tuple[Any, Any]:
    """A pair of sockets with both high-water marks at ``slots``."""
    address = f"ipc://{directory}/{uuid.uuid4().hex[:12]}"
    receiver = _ReceiverInto if hasattr(zmq.Socket, "recv_into") else _Receiver
    return _Sender(address, slots), receiver(address, slots)
