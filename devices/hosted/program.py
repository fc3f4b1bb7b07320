"""A program running in a device process, as the host holds it."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any

from devices.device import Program
from devices.errors import DeviceDied, DeviceError
from devices.process import Deliver, StopProgram


def packed(device: str, program: Program, config: Any) -> bytes:
    """A program and its configuration, to be sent.  Raises ``DeviceError`` if they cannot be."""
    if getattr(program, "__module__", None) == "__main__":
        raise DeviceError(
            f"device {device} cannot run {program!r}: a program must be importable in "
            "another process, so define it in a module instead of the main script"
        )
    try:
        return pickle.dumps((program, config), protocol=5)
    except Exception as error:
        raise DeviceError(
            f"device {device} cannot be sent {program!r} with its configuration "
            f"({type(error).__name__}: {error}); both must be picklable"
        ) from error


class HostedProgram:
    """The host's end of one program; implements :class:`~devices.device.ProgramHandle`."""

    def __init__(
        self,
        device: str,
        send: Callable[[object, Sequence[int]], None],
        on_event: Callable[[Any], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> None:
        self.number = -1
        self.on_event = on_event
        self.on_exit = on_exit
        self.failure: BaseException | None = None
        self.ended = threading.Event()
        self.keep_alive: object = None
        self._device = device
        self._send = send

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Deliver a message; it is lost if the program has ended meanwhile.

        Raises ``DeviceDied``, and ``DeviceError`` for a message or descriptor that cannot travel.
        """
        try:
            body = pickle.dumps(message, protocol=5)
        except Exception as error:  # whatever the class of a user does in __reduce__
            raise DeviceError(
                f"device {self._device} cannot be sent a message "
                f"({type(error).__name__}: {error}); it must be picklable"
            ) from error
        self._send(Deliver(self.number, body), fds)

    def stop(self) -> None:
        """Ask the program to end; does nothing if it or its device has ended."""
        if not self.ended.is_set():
            with contextlib.suppress(DeviceDied):  # then it has ended, and its on_exit says so
                self._send(StopProgram(self.number), ())

    def join(self, timeout: float | None = None) -> bool:
        """Wait until ``on_exit`` has been called; False on timeout."""
        return self.ended.wait(timeout)
