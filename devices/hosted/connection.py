"""The host's end of a device process: from its start, through requests, to its end.

::

    host                                                  device process
    caller threads ── request ─────► socket pair ───────► main thread
    reader thread  ◄─ reply, event, exit, log record ───┘        (devices.hosted.inbox)
    output thread  ◄─ stdout and stderr, kept for the error message and logged as DEBUG

The reader thread blocks in ``poll`` without a timeout: when the process dies, the socket reads as
end-of-file, and every pending call and every running program learns of it at once.  Who waits for
an answer waits for a bounded time (:class:`~devices.hosted.Deadlines`) and looks meanwhile
whether the process is stopped.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

from devices.device import Chip, Program
from devices.errors import DeviceDied, DeviceError
from devices.hosted.deadlines import Deadlines, is_done_in_time
from devices.hosted.inbox import Inbox
from devices.hosted.output import OutputTail
from devices.hosted.program import HostedProgram, packed
from devices.nursery import is_stopped, start_device_process
from devices.process import (
    Configure,
    Request,
    SafeLogger,
    Shutdown,
    StartProgram,
    close_all,
)

LOGGER = "edgetpu.device"
"""Log records of device ``usb:0`` appear in the host under ``edgetpu.device.usb:0``."""

END_S, TOLD_S = 1.0, 10.0
"""How long the system may take to end a process that was killed, and all until everyone knows."""


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
        deadlines: Deadlines | None = None,
    ) -> None:
        """Start the process; does not wait until it is ready.  Raises ``DeviceError``."""
        self.name = name
        self.deadlines = deadlines or Deadlines()
        self._logger = SafeLogger(f"{LOGGER}.{name}", device=name)
        self._inbox = Inbox(name, self._logger)
        self._owner_pid = os.getpid()
        self._lock = threading.Lock()
        self._closing = False
        self._began = time.monotonic()
        self._late = ""
        self._ended = threading.Event()
        configure = Configure(
            name, self._logger.logger.getEffectiveLevel(), pickle.dumps(factory), cpu_affinity
        )
        self._process, self._channel = start_device_process(modules)
        self.pid = self._process.pid
        self._output: OutputTail | None = None
        with ExitStack() as undo:
            undo.callback(self._undo_start)
            try:
                self._output = OutputTail(self._process.output, self._logger)
                self._reader = threading.Thread(
                    target=self._read, name=f"device {name} reader", daemon=True
                )
                self._reader.start()
            except (RuntimeError, MemoryError) as error:
                raise DeviceError(
                    f"device {name} could not start: {error}; use fewer devices, or raise the "
                    "limit of threads (ulimit -u)"
                ) from error
            undo.pop_all()
        _connections.add(self)
        with contextlib.suppress(DeviceError):  # the reader thread finds out why
            self.send(configure)

    def _undo_start(self) -> None:
        self._process.kill()
        self._process.wait(END_S)
        self._channel.close()
        if self._output is None:
            self._process.output.close()
        else:
            self._output.finish()
        self._process.release()

    def wait_ready(self) -> None:
        """Wait until the chip exists, for a bounded time; raises why it does not."""
        due = self._began + self.deadlines.start_s
        if not self._await(self._inbox.ready, due - time.monotonic()):
            why = (
                f"was not ready within {self.deadlines.start_s:g} s"
                if time.monotonic() >= due
                else "is stopped"
            )
            self.kill()
            raise DeviceError(
                f"device {self.name} could not start: its process ({self.pid}) {why}; try "
                f"again, and plug a real device in anew first{self._last_output()}"
            )
        self._inbox.ready.result()

    @property
    def alive(self) -> bool:
        """Whether the process has neither ended nor been asked to."""
        return not self._inbox.closed and not self._closing and not self._late

    @property
    def exit_code(self) -> int | None:
        """How the process ended, as in ``subprocess``; ``None`` while it is there or unknown."""
        return self._process.exit_code

    # -- talking -------------------------------------------------------------------------------

    def call(self, method: str, *arguments: Any, within_s: float, fatal: bool = True) -> Any:
        """Send a request and wait for its reply.

        Raises what the device raised, ``DeviceDied``, and ``DeviceError`` when it does not answer
        in time; with ``fatal`` it is killed then, which is ``DeviceDied``, too.
        """
        number, future = self._inbox.expect_reply()
        try:
            self.send(Request(number, method, arguments), within_s=within_s, fatal=fatal)
            if not self._await(future, within_s):
                raise self._too_late(f"answer {method!r}", within_s, fatal)
            return future.result()
        finally:
            self._inbox.forget(number)
            # The exception's traceback refers to this frame; do not keep the cycle alive.
            del future

    def send(
        self,
        message: object,
        fds: Sequence[int] = (),
        *,
        within_s: float | None = None,
        fatal: bool = True,
    ) -> None:
        """Send one message.  Raises ``DeviceDied``; ``DeviceError`` for unusable descriptors."""
        self._check_owner()
        if within_s is None:
            within_s = self.deadlines.run_s
        began = time.monotonic()
        while True:
            left_s = began + within_s - time.monotonic()
            try:
                return self._channel.send(message, fds, min(left_s, self.deadlines.stopped_s))
            except TimeoutError:
                if left_s <= self.deadlines.stopped_s or self._is_stopped():
                    raise self._too_late("take a message", within_s, fatal) from None
            except EOFError:
                raise self._death_when_told() from None
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
        body = packed(self.name, program, config)
        handle = HostedProgram(self.name, self.send, on_event, on_exit)
        handle.number = self._inbox.expect_program(handle)
        try:
            self.send(StartProgram(handle.number, body), fds)
        except BaseException:
            if self._inbox.forget(handle.number):
                raise
            # else the reader thread has told on_exit already
        return handle

    def _await(self, future: Future[Any], within_s: float) -> bool:
        return is_done_in_time(future, within_s, self.deadlines.stopped_s, self._is_stopped)

    def _is_stopped(self) -> bool:
        return not self._inbox.closed and is_stopped(self.pid)

    def _too_late(self, what: str, within_s: float, fatal: bool) -> DeviceError:
        why = "is stopped" if self._is_stopped() else f"did not {what} within {within_s:g} s"
        text = f"device {self.name} (process {self.pid}) {why}"
        if not fatal:
            return DeviceError(f"{text}; kill it, or let it go on")
        # Whoever was first knows why: after that it is not stopped any more, but dead.
        self._late = self._late or f"{text}, so it was killed; start the device anew or use another"
        self.kill()
        return self._death_when_told()

    def _death_when_told(self) -> DeviceDied:
        """The reader thread is about to learn how the process ended."""
        if threading.current_thread() is not self._reader:
            self._ended.wait(TOLD_S)
        return self._death()

    def _check_owner(self) -> None:
        if os.getpid() != self._owner_pid:
            raise DeviceError(
                f"device {self.name} belongs to process {self._owner_pid} and this is process "
                f"{os.getpid()}, forked from it; open the devices in the process that uses them"
            )

    # -- ending --------------------------------------------------------------------------------

    def ask_to_close(self) -> None:
        """Ask the process to end; does not wait."""
        if os.getpid() != self._owner_pid:
            return  # a forked child must not end its parent's devices
        with self._lock:
            if self._closing or self._inbox.closed:
                return
            self._closing = True
        with contextlib.suppress(EOFError, OSError):  # it has ended, or does not listen
            self._channel.send(Shutdown(self.deadlines.close_s), timeout_s=0.0)

    def kill(self) -> None:
        """Kill the process without waiting; the reader thread finds it dead."""
        if os.getpid() == self._owner_pid:
            self._process.kill()

    def wait_closed(self, deadline: float) -> None:
        """Wait until the process has ended and everything is released, but kill it after
        ``deadline`` (monotonic) and a little, or at once if it is stopped."""
        if os.getpid() != self._owner_pid:
            return
        if threading.current_thread() is self._reader:
            self._process.kill()  # called from a callback: the reader cleans up on its return
            return
        deadline += 0.5  # it ends its programs by itself until then
        if self._is_stopped() or not self._ended.wait(max(0.0, deadline - time.monotonic())):
            self._process.kill()
            if not self._ended.wait(TOLD_S):
                self._logger.warning("device %s (process %d) cannot be killed", self.name, self.pid)

    def close(self) -> None:
        """End the process and wait until everything is released."""
        self.ask_to_close()
        self.wait_closed(time.monotonic() + self.deadlines.close_s)

    def _read(self) -> None:
        """The reader thread."""
        try:
            while True:
                message, fds = self._channel.receive()
                close_all(fds or ())  # devices send none
                self._inbox.take(message)
        except EOFError:
            pass
        except BaseException:
            self._logger.exception("the control connection of device %s is broken", self.name)
        self._conclude()

    def _conclude(self) -> None:
        """The process is gone, or as good as gone: release everything and tell everyone."""
        if not self._process.wait(END_S):
            self._process.kill()
            self._process.wait(END_S)  # in vain if who would tell is stopped itself
        if self._output is not None:
            self._output.finish()
        self._channel.close()
        self._process.release()
        _connections.discard(self)
        self._inbox.close(self._start_failure(), self._death)
        self._ended.set()

    def _death(self) -> DeviceDied:
        if self._closing:
            text = (
                f"device {self.name} is closed, so it cannot do anything more; open a new pool "
                "(or leave the pool open until the work is done)"
            )
        else:
            text = self._late or (
                f"device {self.name} (process {self.pid}) died: {self._process.explain_exit()}; "
                "what it had loaded and its programs are gone, so start the device anew or use "
                "another"
                f"{self._last_output()}"
            )
        return DeviceDied(text, device=self.name, exit_code=self._process.exit_code)

    def _start_failure(self) -> DeviceError:
        return DeviceError(
            f"device {self.name} could not start: before it was ready its process was gone "
            f"({self._process.explain_exit()}); try again, and plug a real device in anew first"
            f"{self._last_output()}"
        )

    def _last_output(self) -> str:
        return "" if self._output is None else self._output.quote()

    def abandon_after_fork(self) -> None:
        """In a forked child: let go of the socket, so that the device notices the host's death."""
        self._channel.abandon_after_fork()
        self._process.abandon_after_fork()


def close_together(connections: Sequence[Connection]) -> None:
    """End several: all are asked before any is waited for, and all have the same time."""
    for connection in connections:
        connection.ask_to_close()
    began = time.monotonic()
    for connection in connections:
        connection.wait_closed(began + connection.deadlines.close_s)


_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


def _abandon_after_fork() -> None:
    for connection in list(_connections):
        connection.abandon_after_fork()


def _close_at_exit() -> None:
    close_together(list(_connections))


os.register_at_fork(after_in_child=_abandon_after_fork)
atexit.register(_close_at_exit)
