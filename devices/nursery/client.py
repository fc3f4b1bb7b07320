"""The host's side of the nursery: the process as the host holds it, and the devices it forks.

Nobody listens to a nursery: each device has a status socket, on which whoever asked for it waits
for its process id, and whoever holds it, after its end, for its exit code.  End-of-file there says
that the nursery has ended.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import IO

from devices.nursery.interpreter import (
    DeviceProcess,
    exit_code,
    explain_exit,
    import_paths,
    is_stopped,
    start_interpreter,
    too_many,
)
from devices.nursery.server import NUMBER, REQUEST_BYTES, Place
from devices.process import ControlChannel, SafeLogger, receive_descriptors

START_S = 30.0
"""How long a nursery may take to start: its imports, on a machine that is busy."""

FORK_S = 10.0
"""How long it may take to fork a device, and to import for it, before it counts as stopped."""

LOOK_S = 0.5
"""When it has not answered for so long, it is looked at whether it is stopped."""

END_S = 1.0
"""How long the system may take to end a process that was killed."""

TELL_S = 5.0
"""How long a nursery that is not stopped may take to tell how a device ended."""

_logger = SafeLogger("edgetpu.device.nursery")


class NurseryUnable(Exception):
    """There is no device from the nursery; the text says what it is or did.

    With ``another``, the next nursery may do better.
    """

    def __init__(self, text: str, *, another: bool = False) -> None:
        super().__init__(text)
        self.another = another


class Nursery:
    """One nursery process, from its start to its end.  All methods may be used by any thread.

    One that is asked for nothing more (:meth:`retire`) ends with its last device.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start; does not wait.  Raises ``OSError``, ``RuntimeError`` and ``MemoryError``."""
        self.gone = False
        self._environment = environment
        # Reentrant, because the collector may close a device inside any call, even one of these.
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._why = ""
        self._answered = False
        self._retired = False
        self._ending = False
        self._ended = threading.Event()
        self._devices: set[ForkedProcess] = set()
        with ExitStack() as undo:
            self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(self._requests.close)
            undo.callback(theirs.close)
            # A file, because nobody reads what it says unless it fails.
            self._report = os.memfd_create("output of the nursery", os.MFD_CLOEXEC)
            undo.callback(os.close, self._report)
            # The system kills the nursery when the *thread* that started it ends.
            self._thread = threading.Thread(
                target=self._keep, args=(theirs,), name="device nursery", daemon=True
            )
            self._thread.start()
            undo.pop_all()

    def fork(
        self, modules: tuple[str, ...], environment: Mapping[str, str]
    ) -> tuple[ForkedProcess, ControlChannel]:
        """A device process that is where the calling thread is, and the connection to it.

        ``modules`` it is going to need are imported before, once for it and those that follow.
        Raises ``NurseryUnable`` after a bounded time if it cannot be had (one that comes to be
        later finds its connection closed and leaves), ``DeviceError`` at a limit of this process.
        """
        with ExitStack() as ours, ExitStack() as theirs:
            try:
                status, their_status = _pair(socket.SOCK_SEQPACKET, ours, theirs)
                control, their_control = _pair(socket.SOCK_STREAM, ours, theirs)
                output, their_output = os.pipe()
                output_file = ours.enter_context(os.fdopen(output, "rb", buffering=0))
                theirs.callback(os.close, their_output)
                # O_PATH, because it may have been removed, or be unreadable.
                directory = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                theirs.callback(os.close, directory)
            except OSError as error:
                raise too_many(error) from error
            fds = (their_status.fileno(), their_control.fileno(), their_output, directory)
            self._ask(json.dumps(modules).encode(), fds)
            theirs.close()  # so that its end is seen if the nursery ends
            pid, pidfd = self._wait_for_device(status)
            ours.callback(os.close, pidfd)
            channel = ControlChannel(control, pidfd=pidfd)
            try:
                channel.send(Place.here(environment), timeout_s=FORK_S)
            except (EOFError, OSError) as error:
                raise NurseryUnable(f"forked in vain ({error})", another=True) from None
            process = ForkedProcess(self, pid, pidfd, status, output_file)
            with self._lock:
                if self.gone:
                    raise self._unable()
                self._devices.add(process)
            ours.pop_all()
        return process, channel

    def _ask(self, request: bytes, fds: tuple[int, ...]) -> None:
        assert len(request) < REQUEST_BYTES
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        with self._lock:
            if self.gone:
                raise self._unable()
            try:
                self._requests.sendmsg([request], [rights], socket.MSG_DONTWAIT)
            except BlockingIOError:
                raise NurseryUnable("is stopped or too slow", another=True) from None
            except OSError as error:
                raise NurseryUnable(f"could not be asked ({error})", another=True) from None

    def _wait_for_device(self, status: socket.socket) -> tuple[int, int]:
        patience_s = FORK_S if self._answered else START_S
        deadline = time.monotonic() + patience_s
        while not _readable(status.fileno(), min(LOOK_S, deadline - time.monotonic())):
            if self._is_stopped():
                raise NurseryUnable("is stopped or too slow", another=True)
            if time.monotonic() >= deadline and not self._answered:
                raise NurseryUnable(f"was not ready within {patience_s:g} s")
            if time.monotonic() >= deadline:
                raise NurseryUnable("is stopped or too slow", another=True)
        word, pidfds = receive_descriptors(status, 4096, 1)
        self._answered |= word != b""
        if len(word) == NUMBER.size and pidfds:
            return NUMBER.unpack(word)[0], pidfds[0]
        if len(word) == NUMBER.size:
            raise too_many(OSError("the process id of a device could not be taken"))
        if word:
            raise NurseryUnable(word.decode())
        if self._ended.wait(END_S):
            raise self._unable()
        raise NurseryUnable("is at its limit of open files")

    def tells(self, status: socket.socket) -> bool:
        """Wait for the end of a device that is gone to be told; not for long, if it is stopped."""
        deadline = time.monotonic() + TELL_S
        while not _readable(status.fileno(), 0.0):
            if self._is_stopped() or time.monotonic() >= deadline:
                return False
            _readable(status.fileno(), LOOK_S)
        return True

    def _is_stopped(self) -> bool:
        return self._process is not None and is_stopped(self._process.pid)

    def _unable(self) -> NurseryUnable:
        killed = self._process is not None and (exit_code(self._process) or 0) < 0
        return NurseryUnable(self._why, another=killed)

    def how_it_ended(self) -> str:
        """In words, if it has or does within a second."""
        self._ended.wait(END_S)
        return self._why.partition("\n")[0]

    def retire(self) -> None:
        """Ask it for nothing more; it ends with its last child."""
        with self._lock:
            self._retired = True
        self.forget(None)

    def forget(self, device: ForkedProcess | None) -> None:
        """A device has ended and nobody asks how any more."""
        with self._lock:
            self._devices -= {device}
            over = self._retired and not self._devices
        if over:
            self.end()

    def end(self) -> None:
        """End it and every device it still has; bounded, also if it is stopped.

        It has nothing to tidy up, and the system kills its children with it.
        """
        with self._lock:
            self._ending = True
            if self._process is not None:
                self._process.kill()
        self._ended.wait(2 * END_S)
        self._thread.join(END_S)

    def abandon_after_fork(self) -> None:
        """In a forked child of the host: let go of the connection, without taking a lock."""
        if not self.gone:
            self._requests.close()
            os.close(self._report)

    def _keep(self, theirs: socket.socket) -> None:
        """The thread: start the nursery, outlive it, and say how it ended."""
        why = ""
        try:
            with theirs:
                process = start_interpreter(
                    "devices.nursery.server",
                    theirs,
                    paths=import_paths(),
                    environment=self._environment,
                    output=self._report,
                )
            with self._lock:
                self._process = process
                if self._ending:  # it was not known yet to whoever wanted to kill it
                    process.kill()
            process.wait()
            text = os.pread(self._report, 4096, 0).decode(errors="replace").strip()
            quote = f"; its output was:\n{text}" if text else ""
            why = f"(process {process.pid}) {explain_exit(exit_code(process))}{quote}"
        except BaseException as error:
            why = f"failed ({type(error).__name__}: {error})"
        with self._lock:
            self._why = why
            self.gone = True
            devices = list(self._devices)
            self._requests.close()
            os.close(self._report)
        if devices and not self._ending:
            _logger.warning("the nursery of %d devices %s", len(devices), why)
        for device in devices:
            device.kill()  # not twice, unless that request to the system was undone in the process
        self._ended.set()


class ForkedProcess(DeviceProcess):
    """A device process that is a child of a nursery, which tells how it ended.

    It is signalled through a pidfd, which stays right when its process id is used again.
    """

    def __init__(
        self, nursery: Nursery, pid: int, pidfd: int, status: socket.socket, output: IO[bytes]
    ) -> None:
        """Take ownership of all but the nursery; ``on_release`` may be set afterwards."""
        self.pid = pid
        self.pidfd = pidfd
        self.output = output
        self.on_release: Callable[[], None] = _nothing
        self._nursery = nursery
        self._status = status
        self._pidfd_lock = threading.RLock()
        self._exit_code: int | None = None
        self._how: str | None = None

    @property
    def exit_code(self) -> int | None:
        """See :class:`DeviceProcess`."""
        return self._exit_code

    def explain_exit(self) -> str:
        """See :class:`DeviceProcess`."""
        return self._how or explain_exit(self._exit_code)

    def wait(self, timeout_s: float) -> bool:
        """See :class:`DeviceProcess`; a nursery that does not tell is not waited for long."""
        if not _readable(self.pidfd, timeout_s):
            return False
        if self._exit_code is None and self._nursery.tells(self._status):
            word = self._status.recv(NUMBER.size)
            if word:
                (self._exit_code,) = NUMBER.unpack(word)
            else:
                self._exit_code = -signal.SIGKILL
                self._how = (
                    "killed by SIGKILL with the process it was forked from: its nursery "
                    + self._nursery.how_it_ended()
                )
        return True

    def kill(self) -> None:
        """See :class:`DeviceProcess`."""
        with self._pidfd_lock, contextlib.suppress(ProcessLookupError):
            if self.pidfd >= 0:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def release(self) -> None:
        """See :class:`DeviceProcess`."""
        with self._pidfd_lock:
            pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)
            self._status.close()
            self._nursery.forget(self)
            self.on_release()

    def abandon_after_fork(self) -> None:
        """See :class:`DeviceProcess`."""
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)
            self._status.close()


def _pair(
    kind: socket.SocketKind, ours: ExitStack, theirs: ExitStack
) -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair(socket.AF_UNIX, kind)
    ours.callback(pair[0].close)
    theirs.callback(pair[1].close)
    return pair


def _readable(fd: int, timeout_s: float) -> bool:
    watch = select.poll()
    watch.register(fd, select.POLLIN)
    return bool(watch.poll(1000 * max(0.0, timeout_s)))


def _nothing() -> None:
    """Nobody asked to be told."""
