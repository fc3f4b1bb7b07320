"""What a device process says, and who is waiting for it.

Calls and programs have numbers, by which the replies, reports and exits of the device find them.
Whatever a callback of the user or a log handler does, the next message is heard.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future
from logging import makeLogRecord
from typing import Any

from devices.errors import DeviceError
from devices.hosted.program import HostedProgram
from devices.process import (
    CarriedError,
    Logged,
    ProgramEvent,
    ProgramExit,
    Ready,
    Reply,
    SafeLogger,
    unpack,
)


class Inbox:
    """Everyone who waits for one device.  ``take`` and ``close`` belong to the reader thread."""

    def __init__(self, name: str, logger: SafeLogger) -> None:
        self.ready: Future[None] = Future()
        """Whether the chip exists, or why not."""
        self._name = name
        self._logger = logger
        self._lock = threading.Lock()
        self._next_number = 0
        self._calls: dict[int, Future[Any]] = {}
        self._programs: dict[int, HostedProgram] = {}
        self._death: Callable[[], DeviceError] | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing will come any more."""
        return self._death is not None

    def expect_reply(self) -> tuple[int, Future[Any]]:
        """Number a call.  Raises ``DeviceDied`` once the device is gone."""
        future: Future[Any] = Future()
        return self._register(self._calls, future), future

    def expect_program(self, program: HostedProgram) -> int:
        """Number a program.  Raises ``DeviceDied`` once the device is gone."""
        return self._register(self._programs, program)

    def forget(self, number: int) -> bool:
        """Nobody waits for that any more; False if it has been told already."""
        with self._lock:
            call, program = self._calls.pop(number, None), self._programs.pop(number, None)
        return call is not None or program is not None

    def _register(self, table: dict[int, Any], entry: Any) -> int:
        with self._lock:
            if self._death is not None:
                raise self._death()
            self._next_number += 1
            table[self._next_number] = entry
            return self._next_number

    def take(self, message: object) -> None:
        """Give a message to whom it concerns."""
        if isinstance(message, Reply):
            with self._lock:
                future = self._calls.pop(message.number, None)
            if future is not None:
                resolve(future, message.value, self._unpack(message.error))
        elif isinstance(message, ProgramEvent):
            self._tell_event(message)
        elif isinstance(message, ProgramExit):
            with self._lock:
                program = self._programs.pop(message.program, None)
            if program is not None:
                self._tell_exit(program, self._unpack(message.error) or program.failure)
        elif isinstance(message, Logged):
            self._log(message)
        elif isinstance(message, Ready):
            resolve(self.ready, None, self._unpack(message.error))

    def close(self, start_failure: DeviceError, death: Callable[[], DeviceError]) -> None:
        """The device is gone: tell everyone."""
        with self._lock:
            self._death = death
            calls, self._calls = list(self._calls.values()), {}
            programs, self._programs = list(self._programs.values()), {}
        resolve(self.ready, None, start_failure)
        for future in calls:
            resolve(future, None, death())
        for program in programs:
            self._tell_exit(program, death())

    def _unpack(self, carried: CarriedError | None) -> BaseException | None:
        return None if carried is None else unpack(carried, self._name)

    def _tell_event(self, message: ProgramEvent) -> None:
        with self._lock:
            program = self._programs.get(message.program)
        if program is None:
            return
        try:
            payload = pickle.loads(message.body)
        except Exception as error:
            program.failure = DeviceError(
                f"a report of a program on device {self._name} cannot be rebuilt here "
                f"({type(error).__name__}: {error}); report objects of importable classes"
            )
            program.stop()
            return
        try:
            program.on_event(payload)
        except Exception:
            self._logger.exception("on_event of a program on device %s failed", self._name)

    def _tell_exit(self, program: HostedProgram, error: BaseException | None) -> None:
        try:
            program.on_exit(error)
        except Exception:
            self._logger.exception("on_exit of a program on device %s failed", self._name)
        finally:
            program.ended.set()

    def _log(self, message: Logged) -> None:
        record = makeLogRecord(message.attributes)
        if record.name != "root":
            record.name = f"{self._logger.name}.{record.name}"
        else:
            record.name = self._logger.name
        self._logger.handle(record)


def resolve(future: Future[Any], value: Any, error: BaseException | None) -> None:
    """Give a result to whoever waits for it, unless it has one."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
