"""The nursery as the host holds it, and the device processes it forks.

One thread starts the nursery, listens to it and outlives it: the system kills the nursery when
*that thread* ends (PR_SET_PDEATHSIG counts threads, not processes), so it must be no passing one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import IO

from devices.nursery.inside import Exited, ForkDevice, Forked, NotForked, NurseryReady
from devices.nursery.launch import explain_exit, start_interpreter
from devices.nursery.surroundings import Origin, Place
from devices.process import ControlChannel, SafeLogger, close_all

START_S = 30.0
"""How long a nursery may take to start: its imports, on a machine that is busy."""

FORK_S = 10.0
"""How long it may take to fork a device, and to import for it, before it counts as stopped."""

LOOK_S = 0.5
"""When it has not answered for so long, it is looked at whether it is stopped."""

END_S = 1.0
"""How long the system may take to end a process that was killed, or to tell how one ended."""

_logger = SafeLogger("edgetpu.device.nursery")


class NurseryUnable(Exception):
    """There is no device process from the nursery; the text says what the nursery is or did."""


class HostedNursery:
    """One nursery process, from its start to its end.

    ``devices``, the number of its children that are not known to have ended, and all methods may
    be used by any thread.  A nursery that was given up (:meth:`retire`) ends with its last child.
    """

    def __init__(self, origin: Origin, environment: Mapping[str, str]) -> None:
        """Start; does not wait."""
        self.origin = origin
        self.gone = False
        self._environment = dict(environment)
        self._channel: Future[ControlChannel] = Future()
        self._process: subprocess.Popen[bytes] | None = None
        # Reentrant, because the collector may close a device inside any call, even one of these.
        self._lock = threading.RLock()
        self._next_number = 0
        self._asked: dict[int, tuple[Future[ForkedProcess], IO[bytes]]] = {}
        self._children: dict[int, ForkedProcess] = {}
        self._report = -1
        self._retired = False
        self._ending = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="device nursery", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Its process id, once it has started."""
        return None if self._process is None else self._process.pid

    def wait_ready(self) -> None:
        """Wait until it can fork.  Raises ``NurseryUnable``, after a bounded time in any case."""
        try:
            self._channel.result(START_S)
        except FutureTimeout:
            self._kill()
            raise NurseryUnable(f"was not ready within {START_S:g} s") from None

    def fork(
        self,
        fds: tuple[int, int, int],
        output: IO[bytes],
        environment: Mapping[str, str],
        modules: tuple[str, ...],
    ) -> ForkedProcess:
        """A device process that has ``fds``; see :class:`devices.nursery.inside.ForkDevice`.

        It owns ``output``, the host's end of its output, from then on.  Raises ``NurseryUnable``
        after a bounded time if it cannot be had; the caller must close its ends then, which is
        how a process learns that nobody waited for it.
        """
        channel = self._channel.result(START_S)
        future: Future[ForkedProcess] = Future()
        with self._lock:
            if self.gone:
                raise NurseryUnable("has ended")
            self._next_number += 1
            number = self._next_number
            self._asked[number] = future, output
        try:
            place = Place.here(environment, self._environment)
            channel.send(ForkDevice(number, modules, place), fds)
            return self._answer(future)
        except (EOFError, OSError, FutureTimeout) as error:
            with self._lock:
                late = self._asked.pop(number, None) is None
            if late:  # the answer has come meanwhile
                return future.result()
            if isinstance(error, FutureTimeout | BlockingIOError):
                raise NurseryUnable("is stopped or too slow") from None
            raise NurseryUnable(f"could not be asked ({error})") from None

    def _answer(self, future: Future[ForkedProcess]) -> ForkedProcess:
        deadline = time.monotonic() + FORK_S
        while True:
            try:
                return future.result(LOOK_S)
            except FutureTimeout:
                if time.monotonic() >= deadline or self._is_stopped():
                    raise

    def _is_stopped(self) -> bool:
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return status.rpartition(")")[2].split()[0] in ("T", "t")

    def retire(self) -> None:
        """Ask it for nothing more; it ends with its last child."""
        with self._lock:
            self._retired = True
        self._end_if_idle()

    def end(self) -> None:
        """End it and every child it still has; bounded, also if it is stopped.

        It has nothing to tidy up, and the system kills its children with it.
        """
        self._kill()
        if not self.told_by_this_thread():
            self._ended.wait(2 * END_S)
            self._thread.join(END_S)

    def forget(self, pid: int) -> None:
        """A child has ended, whether or not the nursery said so."""
        with self._lock:
            self._children.pop(pid, None)
        self._end_if_idle()

    def told_by_this_thread(self) -> bool:
        """Whether the calling thread is the one that listens."""
        return threading.current_thread() is self._thread

    def abandon_after_fork(self) -> None:
        """In a forked child of the host: let go of the connection, without taking a lock."""
        if self._channel.done() and self._channel.exception() is None:
            self._channel.result().abandon_after_fork()
        if self._report >= 0:
            os.close(self._report)

    def _end_if_idle(self) -> None:
        with self._lock:
            over = self._retired and not self._children and not self._asked
        if over:
            self.end()

    def _kill(self) -> None:
        with self._lock:
            self._ending = True
            process = self._process
        if process is not None:
            process.kill()

    # -- the thread ----------------------------------------------------------------------------

    def _serve(self) -> None:
        channel: ControlChannel | None = None
        why = ""
        try:
            # A file, because nobody reads what it says unless it fails.
            self._report = os.memfd_create("output of the nursery", os.MFD_CLOEXEC)
            channel = self._start()
            self._listen(channel)
        except EOFError:
            pass
        except BaseException as error:
            why = f"failed ({type(error).__name__}: {error})"
            if self._channel.done():
                _logger.exception("the connection to the nursery of devices is broken")
        self._conclude(channel, why or self._end_of_process())
        report, self._report = self._report, -1
        if report >= 0:
            os.close(report)
        self._ended.set()

    def _start(self) -> ControlChannel:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            process = start_interpreter(
                "devices.nursery.inside",
                theirs,
                paths=self.origin.paths,
                environment=self._environment,
                output=self._report,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        with self._lock:
            self._process = process
            if self._ending:  # it was not known yet to whoever wanted to kill it
                process.kill()
        # A nursery that is stopped does not read, and nobody may wait for that for ever.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(FORK_S), 0))
        return ControlChannel(ours, process.pid)

    def _listen(self, channel: ControlChannel) -> None:
        while True:
            message, fds = channel.receive()
            if isinstance(message, Forked):
                self._forked(message, fds)
                continue
            close_all(fds or ())
            if isinstance(message, Exited):
                with self._lock:
                    child = self._children.get(message.pid)
                if child is not None:
                    child.ended(message.exit_code)
            elif isinstance(message, NotForked):
                with self._lock:
                    future, _ = self._asked.pop(message.number, (None, None))
                if future is not None:
                    future.set_exception(NurseryUnable(message.problem))
            elif isinstance(message, NurseryReady):
                self._channel.set_result(channel)

    def _forked(self, message: Forked, fds: tuple[int, ...] | None) -> None:
        with self._lock:
            future, reader = self._asked.pop(message.number, (None, None))
            if future is not None and reader is not None and fds is not None:
                child = ForkedProcess(self, message.pid, fds[0], reader)
                self._children[message.pid] = child
        # A process nobody waits for finds its control connection closed and leaves.
        if future is None:
            close_all(fds or ())
        elif fds is None:
            future.set_exception(
                NurseryUnable("was not to be used: this program is at its limit of open files")
            )
        else:
            future.set_result(child)

    def _end_of_process(self) -> str:
        assert self._process is not None
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        text = os.pread(self._report, 4096, 0).decode(errors="replace").strip()
        quote = f"; its output was:\n{text}" if text else ""
        return f"(process {self.pid}) {explain_exit(self._process.returncode)}{quote}"

    def _conclude(self, channel: ControlChannel | None, why: str) -> None:
        """The nursery is gone: release everything and tell everyone."""
        with self._lock:
            self.gone = True
            asked, self._asked = list(self._asked.values()), {}
            children = list(self._children.values())
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        if channel is not None:
            channel.close()
        if children and not self._ending:
            _logger.warning("the nursery of %d devices %s", len(children), why)
        if not self._channel.done():
            self._channel.set_exception(NurseryUnable(why))
        for future, _ in asked:
            future.set_exception(NurseryUnable(why))
        for child in children:
            child.orphaned(why.splitlines()[0])


class ForkedProcess:
    """A device process forked by a nursery; see :class:`devices.nursery.launch.DeviceProcess`.

    It is signalled through a pidfd, which stays right when its process id is used again.
    """

    def __init__(self, nursery: HostedNursery, pid: int, pidfd: int, output: IO[bytes]) -> None:
        """Take ownership of ``pidfd`` and ``output``; ``on_release`` may be set afterwards."""
        self.pid = pid
        self.output = output
        self.exit_code: int | None = None
        self._nursery = nursery
        self.pidfd = pidfd
        self._pidfd_lock = threading.RLock()
        self._how: str | None = None
        self._ended = threading.Event()
        self.on_release: Callable[[], None] = _nothing

    def explain_exit(self) -> str:
        """See :class:`DeviceProcess`."""
        return self._how or explain_exit(self.exit_code)

    def wait(self, timeout_s: float) -> bool:
        """See :class:`DeviceProcess`; a nursery that does not tell is not waited for long."""
        deadline = time.monotonic() + timeout_s
        if self.pidfd >= 0:  # whoever waits also releases, so it stays open meanwhile
            watch = select.poll()
            watch.register(self.pidfd, select.POLLIN)
            if not watch.poll(timeout_s * 1000):
                return False
        self._ended.wait(max(END_S, deadline - time.monotonic()))
        return True

    def terminate(self) -> None:
        """See :class:`DeviceProcess`."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """See :class:`DeviceProcess`."""
        self._send(signal.SIGKILL)

    def told_by_this_thread(self) -> bool:
        """See :class:`DeviceProcess`."""
        return self._nursery.told_by_this_thread()

    def release(self) -> None:
        """See :class:`DeviceProcess`."""
        with self._pidfd_lock:
            pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)
            self._nursery.forget(self.pid)
            self.on_release()

    def abandon_after_fork(self) -> None:
        """See :class:`DeviceProcess`."""
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)

    def ended(self, exit_code: int) -> None:
        """The nursery tells how it ended."""
        self.exit_code = exit_code
        self._ended.set()

    def orphaned(self, why: str) -> None:
        """The nursery is gone, and the system has killed this process with it."""
        self.kill()  # not twice, unless that request to the system was undone in the process
        self.exit_code = -signal.SIGKILL
        self._how = f"killed by SIGKILL with the process it was forked from: its nursery {why}"
        self._ended.set()

    def _send(self, number: signal.Signals) -> None:
        with self._pidfd_lock, contextlib.suppress(ProcessLookupError):
            if self.pidfd >= 0:
                signal.pidfd_send_signal(self.pidfd, number)


def _nothing() -> None:
    """Nobody asked to be told."""
