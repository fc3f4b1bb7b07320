"""The host's end of a device process: requests, programs, log records, and its death.

::

    host                                                  device process
    caller threads ── request ─────► socket pair ───────► main thread
    reader thread  ◄─ reply, event, exit, log record ───┘
    output thread  ◄─ stdout and stderr, kept for the error message and logged as DEBUG

The reader thread blocks in ``poll``: there is no timeout and nothing is looked at repeatedly.
When the process dies, the socket reads as end-of-file, and every pending call and every running
program learns of it at once.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from logging import makeLogRecord
from typing import Any

from devices.device import Chip, Program
from devices.errors import DeviceDied, DeviceError
from devices.hosted.output import OutputTail
from devices.hosted.program import HostedProgram
from devices.nursery import start_device_process
from devices.process import (
    CarriedError,
    Configure,
    Logged,
    ProgramEvent,
    ProgramExit,
    Ready,
    Reply,
    Request,
    SafeLogger,
    Shutdown,
    StartProgram,
    close_all,
    unpack,
)

LOGGER = "edgetpu.device"
"""Log records of device ``usb:0`` appear in the host under ``edgetpu.device.usb:0``."""

READY_S = 60.0
"""How long a device may take to start before it counts as hung; a real one loads its firmware."""

GRACE_S = 1.0
"""How long a device that is asked to end may take for it before it is told to, then made to."""


class Connection:
    """Everything behind a :class:`~devices.hosted.ProcessDevice` but the object itself.

    The reader thread refers to this and not to the device, which so can be collected (and closed)
    when the user drops it.
    """

    def __init__(
        self,
        name: str,
        factory: Callable[[], Chip],
        cpu_affinity: tuple[int, ...] | None = None,
        modules: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.ready: Future[None] = Future()
        self._logger = SafeLogger(f"{LOGGER}.{name}", device=name)
        self._owner_pid = os.getpid()
        self._lock = threading.Lock()
        self._next_number = 0
        self._calls: dict[int, Future[Any]] = {}
        self._programs: dict[int, HostedProgram] = {}
        self._closing = False
        self._dead = False
        self._ended = threading.Event()
        configure = Configure(
            name, self._logger.logger.getEffectiveLevel(), pickle.dumps(factory), cpu_affinity
        )
        self._process, self._channel = start_device_process(modules)
        self.pid = self._process.pid
        self._output = OutputTail(self._process.output, self._logger)
        self._reader = threading.Thread(
            target=self._read, name=f"device {name} reader", daemon=True
        )
        _connections.add(self)
        self._reader.start()
        with contextlib.suppress(EOFError):  # it died at once: the reader thread finds out why
            self._channel.send(configure)

    def wait_ready(self) -> None:
        """Wait until the chip exists, for a bounded time; raises why it does not."""
        try:
            self.ready.result(READY_S)
        except FutureTimeout:
            self.kill()
            raise DeviceError(
                f"device {self.name} could not start: its process ({self.pid}) was not ready "
                f"within {READY_S:g} s{self._output.quote()}"
            ) from None

    @property
    def alive(self) -> bool:
        """Whether the process has neither ended nor been asked to."""
        return not self._dead and not self._closing

    # -- talking -------------------------------------------------------------------------------

    def call(self, method: str, *arguments: Any) -> Any:
        """Send a request and wait for its reply."""
        future: Future[Any] = Future()
        number = self._register(self._calls, future)
        try:
            self.send(Request(number, method, arguments))
        except BaseException:
            with self._lock:
                self._calls.pop(number, None)
            raise
        try:
            return future.result()
        finally:
            # The exception's traceback refers to this frame; do not keep the cycle alive.
            del future

    def send(self, message: object, fds: Sequence[int] = ()) -> None:
        """Send one message.  Raises ``DeviceDied``; ``DeviceError`` for unusable descriptors."""
        self._check_owner()
        try:
            self._channel.send(message, fds)
        except EOFError:
            if threading.current_thread() is not self._reader:
                self._ended.wait(GRACE_S)  # the reader is about to learn the exit code
            raise self._death() from None
        except OSError as error:
            raise DeviceError(
                f"device {self.name} cannot be handed the file descriptors {list(fds)}: {error}"
            ) from error

    def start_program(
        self,
        program: Program,
        fds: Sequence[int],
        config: Any,
        on_event: Callable[[Any], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> HostedProgram:
        """See :meth:`devices.device.Device.start_program`."""
        if getattr(program, "__module__", None) == "__main__":
            raise DeviceError(
                f"device {self.name} cannot run {program!r}: a program must be importable in "
                "another process, so define it in a module instead of the main script"
            )
        try:
            body = pickle.dumps((program, config), protocol=5)
        except Exception as error:
            raise DeviceError(
                f"device {self.name} cannot be sent {program!r} with its configuration "
                f"({type(error).__name__}: {error}); both must be picklable"
            ) from error
        handle = HostedProgram(self.name, self.send, on_event, on_exit)
        handle.number = self._register(self._programs, handle)
        try:
            self.send(StartProgram(handle.number, body), fds)
        except BaseException:
            with self._lock:
                unknown = self._programs.pop(handle.number, None) is None
            if unknown:  # the reader thread has told on_exit already
                return handle
            raise
        return handle

    def _register(self, table: dict[int, Any], entry: Any) -> int:
        with self._lock:
            if self._dead:
                raise self._death()
            self._next_number += 1
            table[self._next_number] = entry
            return self._next_number

    def _check_owner(self) -> None:
        if os.getpid() != self._owner_pid:
            raise DeviceError(
                f"device {self.name} belongs to process {self._owner_pid} and this is process "
                f"{os.getpid()}, forked from it; open the devices in the process that uses them"
            )

    # -- listening -----------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while True:
                message, fds = self._channel.receive()
                close_all(fds or ())  # devices send none
                self._dispatch(message)
        except EOFError:
            pass
        except BaseException:
            self._logger.exception("the control connection of device %s is broken", self.name)
        self._conclude()

    def _dispatch(self, message: object) -> None:
        if isinstance(message, Reply):
            with self._lock:
                future = self._calls.pop(message.number, None)
            if future is not None:
                _resolve(future, message.value, self._unpack(message.error))
        elif isinstance(message, ProgramEvent):
            self._tell_event(message)
        elif isinstance(message, ProgramExit):
            with self._lock:
                program = self._programs.pop(message.program, None)
            if program is not None:
                error = self._unpack(message.error)
                self._tell_exit(program, error or program.failure)
        elif isinstance(message, Logged):
            self._log(message)
        elif isinstance(message, Ready):
            _resolve(self.ready, None, self._unpack(message.error))

    def _unpack(self, carried: CarriedError | None) -> BaseException | None:
        return None if carried is None else unpack(carried, self.name)

    def _tell_event(self, message: ProgramEvent) -> None:
        with self._lock:
            program = self._programs.get(message.program)
        if program is None:
            return
        try:
            payload = pickle.loads(message.body)
        except Exception as error:
            program.failure = DeviceError(
                f"a report of a program on device {self.name} cannot be rebuilt here "
                f"({type(error).__name__}: {error}); report objects of importable classes"
            )
            program.stop()
            return
        try:
            program.on_event(payload)
        except Exception:
            self._logger.exception("on_event of a program on device %s failed", self.name)

    def _tell_exit(self, program: HostedProgram, error: BaseException | None) -> None:
        try:
            program.on_exit(error)
        except Exception:
            self._logger.exception("on_exit of a program on device %s failed", self.name)
        finally:
            program.ended.set()

    def _log(self, message: Logged) -> None:
        record = makeLogRecord(message.attributes)
        if record.name != "root":
            record.name = f"{self._logger.name}.{record.name}"
        else:
            record.name = self._logger.name
        self._logger.handle(record)

    # -- ending --------------------------------------------------------------------------------

    def ask_to_close(self) -> None:
        """Ask the process to end; does not wait."""
        if os.getpid() != self._owner_pid:
            return  # a forked child must not end its parent's devices
        with self._lock:
            if self._closing or self._dead:
                return
            self._closing = True
        self._channel.send_now(Shutdown(GRACE_S), GRACE_S)

    def kill(self) -> None:
        """Kill the process without waiting; the reader thread finds it dead."""
        if os.getpid() == self._owner_pid:
            self._process.kill()

    def close(self) -> None:
        """End the process and wait until everything is released."""
        if os.getpid() != self._owner_pid:
            return
        self.ask_to_close()
        if threading.current_thread() is self._reader or self._process.told_by_this_thread():
            self._process.kill()  # called from a callback: the reader cleans up on its return
            return
        if self._ended.wait(1.5 * GRACE_S):
            return
        # After it was killed, whoever tells how it ended may be stopped, and is given up first.
        for end, patience_s in ((self._process.terminate, GRACE_S), (self._process.kill, 8.0)):
            end()
            if self._ended.wait(patience_s):
                return
        self._logger.warning("device %s (process %d) cannot be killed", self.name, self.pid)

    def _conclude(self) -> None:
        """The process is gone, or as good as gone: release everything and tell everyone."""
        if not self._process.wait(GRACE_S):
            self._process.kill()
            self._process.wait(GRACE_S)  # in vain if who would tell is stopped itself
        self._output.finish()
        with self._lock:
            self._dead = True
            calls, self._calls = list(self._calls.values()), {}
            programs, self._programs = list(self._programs.values()), {}
        self._channel.close()
        self._process.release()
        _connections.discard(self)
        _resolve(self.ready, None, self._start_failure())
        for future in calls:
            _resolve(future, None, self._death())
        for program in programs:
            self._tell_exit(program, self._death())
        self._ended.set()

    def _death(self) -> DeviceDied:
        if self._closing:
            text = (
                f"device {self.name} is closed, so it cannot do anything more; open a new pool "
                "(or leave the pool open until the work is done)"
            )
        else:
            text = (
                f"device {self.name} (process {self.pid}) died: {self._process.explain_exit()}; "
                "what it had loaded and its programs are gone, so start the device anew or use "
                "another"
                f"{self._output.quote()}"
            )
        return DeviceDied(text, device=self.name, exit_code=self._process.exit_code)

    def _start_failure(self) -> DeviceError:
        end = self._process.explain_exit()
        return DeviceError(
            f"device {self.name} could not start: its process {end} before it was ready"
            f"{self._output.quote()}"
        )

    def abandon_after_fork(self) -> None:
        """In a forked child: let go of the socket, so that the device notices the host's death."""
        self._channel.abandon_after_fork()
        self._process.abandon_after_fork()


def _resolve(future: Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


def _abandon_after_fork() -> None:
    for connection in list(_connections):
        connection.abandon_after_fork()


def _close_at_exit() -> None:
    connections = list(_connections)
    for connection in connections:  # all are asked before any is waited for
        connection.ask_to_close()
    for connection in connections:
        connection.close()


os.register_at_fork(after_in_child=_abandon_after_fork)
atexit.register(_close_at_exit)
