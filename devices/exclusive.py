"""A device that belongs to one process of the machine at a time, as real Edge TPUs do.

The name of the device is taken as the name of a socket in the system's abstract namespace
(unix(7)), which one process can have and which is free again once that ends, however it ends: no
file, nothing to clean up.  It holds between all users of the machine (of the network namespace).
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Callable
from typing import TypeVar

from devices.errors import DeviceError

_PREFIX = "\0edgetpu-pipeline/device/"
_CREDENTIALS = struct.Struct("3i")
_MOST_QUESTIONS = 1024

_held: list[socket.socket] = []
"""For as long as this process lives."""


Made = TypeVar("Made")


def exclusively(name: str, make: Callable[[], Made]) -> Made:
    """Take a device for this process until that ends, then make what it is.

    Raises ``DeviceError`` if another process has it, or this one.
    """
    _take(name)
    return make()


def _take(name: str) -> None:
    if not sys.platform.startswith("linux"):
        raise DeviceError(
            f"device {name} is to be exclusive, which needs Linux's abstract sockets; leave "
            "exclusive out"
        )
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        taken.bind(_PREFIX + name)
        taken.listen(_MOST_QUESTIONS)  # so that others can ask whose it is
    except OSError as error:
        taken.close()
        if error.errno != errno.EADDRINUSE:
            raise DeviceError(f"device {name} cannot be taken: {error}") from error
        raise DeviceError(
            f"device {name} is in use by {_holder(name)}, and an Edge TPU belongs to one process "
            "at a time; end that, choose another device (lstpu lists them), or leave exclusive out "
            "of the pool"
        ) from None
    _held.append(taken)


def _holder(name: str) -> str:
    """Whose device it is, in words."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(_PREFIX + name)
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:  # it ended since, or was asked too often
            return "another process"
    return f"process {_CREDENTIALS.unpack(told)[0]}"
