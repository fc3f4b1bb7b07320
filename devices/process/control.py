"""The control connection between the host and a device process.

One end of a Unix socket pair each.  A message is a pickled dataclass of this module; file
descriptors travel right behind the message that announces them::

    | length: u64 | descriptors: u32 | pickle ... | (0x00 + SCM_RIGHTS) * |

Whatever a user supplied (programs, their configuration, their messages) sits inside a message as
bytes that were pickled before, so an object that cannot be rebuilt on the other side is an error
of that one program and never tears the connection.

Death is end-of-file: the kernel closes the socket of a process however it died.  A descriptor
that leaked into a forked relative would keep the socket open, so a *pidfd* of the peer is watched
as well where the system has them (Linux 5.3).
"""

from __future__ import annotations

import array
import contextlib
import os
import pickle
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

_HEADER = struct.Struct("<QI")
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group (unix(7), SO_PEERCRED)."""
_DESCRIPTORS_PER_BYTE = 200
"""Linux passes at most 253 descriptors (SCM_MAX_FD) with one ``sendmsg``."""


@dataclass(frozen=True)
class Configure:
    """Host to device, first: who you are, where to run (``None``: anywhere), and ``factory``,
    a pickled ``Callable[[], Chip]``."""

    name: str
    log_level: int
    factory: bytes
    cpu_affinity: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Request:
    """Host to device: call ``method`` of the chip and answer with :class:`Reply`."""

    number: int
    method: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class StartProgram:
    """Host to device, with descriptors: ``body`` is a pickled ``(program, config)``."""

    program: int
    body: bytes


@dataclass(frozen=True)
class Deliver:
    """Host to device, with descriptors: a pickled message for the inbox of a program."""

    program: int
    body: bytes


@dataclass(frozen=True)
class StopProgram:
    """Host to device: put ``None`` into the inbox of a program."""

    program: int


@dataclass(frozen=True)
class Shutdown:
    """Host to device: stop the programs, wait at most ``grace_s`` for them and exit with 0."""

    grace_s: float


@dataclass(frozen=True)
class Ready:
    """Device to host: the chip exists (``error`` is None), or could not be made."""

    error: CarriedError | None = None


@dataclass(frozen=True)
class Reply:
    """Device to host: what a :class:`Request` gave."""

    number: int
    value: Any = None
    error: CarriedError | None = None


@dataclass(frozen=True)
class ProgramEvent:
    """Device to host: a pickled payload that a program reported."""

    program: int
    body: bytes


@dataclass(frozen=True)
class ProgramExit:
    """Device to host: a program returned (``error`` is None) or raised."""

    program: int
    error: CarriedError | None = None


@dataclass(frozen=True)
class Logged:
    """Device to host: the attributes of one ``logging.LogRecord``."""

    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CarriedError:
    """An exception on its way to the other side: pickled if it can be, as text in any case."""

    pickled: bytes | None
    text: str
    traceback: str


class ControlChannel:
    """Messages and descriptors both ways over one socket.

    ``send`` may be called from any thread; ``receive`` belongs to one.  Both raise ``EOFError``
    once the peer is gone or the channel is closed.
    """

    def __init__(
        self, sock: socket.socket, peer_pid: int | None = None, *, pidfd: int | None = None
    ) -> None:
        """Take ownership of ``sock``, whose other end belongs to process ``peer_pid``.

        A ``pidfd`` of that process may be lent instead; its owner closes it after this.
        """
        self._socket = sock
        self._send_lock = threading.Lock()
        self._closed = False
        self._pidfd = None if pidfd is not None else _open_pidfd(peer_pid)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        for watched in (pidfd, self._pidfd):
            if watched is not None:
                self._poll.register(watched, select.POLLIN)

    def send(
        self, message: object, fds: Sequence[int] = (), timeout_s: float | None = None
    ) -> None:
        """Send a message and duplicates of ``fds``; waits while the peer does not read.

        Raises ``EOFError`` when the peer is gone, ``ValueError``/``OSError`` (EBADF) when a
        descriptor is not open, in which case nothing was sent, and ``TimeoutError`` after
        ``timeout_s``, when the connection is of no use any more if a part was sent.
        """
        for fd in fds:
            os.fstat(fd)
        payload = pickle.dumps(message, protocol=5)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if not self._send_lock.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s)):
            raise TimeoutError("another message waits to be read by the peer")
        begun = whole = False
        try:
            if self._closed:
                raise EOFError("the control connection is closed")
            rest = memoryview(_HEADER.pack(len(payload), len(fds)) + payload)
            while rest:
                rest = rest[self._write(rest, (), deadline) :]
                begun = True
            for start in range(0, len(fds), _DESCRIPTORS_PER_BYTE):
                self._write(b"\0", fds[start : start + _DESCRIPTORS_PER_BYTE], deadline)
            whole = True
        except (BrokenPipeError, ConnectionError) as error:
            raise EOFError("the peer of the control connection is gone") from error
        finally:
            if begun and not whole:  # the peer would take the next message for the rest of this one
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
            self._send_lock.release()

    def _write(
        self, content: bytes | memoryview, fds: Sequence[int], deadline: float | None
    ) -> int:
        # Not blocking, because a peer that is stopped does not read, and nobody may wait for it
        # without an end.
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while True:
            try:
                return self._socket.sendmsg([content], rights, socket.MSG_DONTWAIT)
            except BlockingIOError:
                room = select.poll()
                room.register(self._socket, select.POLLOUT)
                left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not room.poll(None if left_s is None else left_s * 1000):
                    raise TimeoutError("the peer does not read") from None

    def receive(self) -> tuple[object, tuple[int, ...] | None]:
        """Wait for the next message and the descriptors behind it, which the caller owns.

        The descriptors are ``None`` if some could not be taken because this process is at its
        limit of open files; the connection stays usable.
        """
        ready = {fd for fd, _ in self._poll.poll()}
        if self._socket.fileno() not in ready:
            raise EOFError("the peer of the control connection ended")
        length, count = _HEADER.unpack(self._read(_HEADER.size))
        payload = self._read(length)
        fds = self._read_descriptors(count)
        try:
            return pickle.loads(payload), fds
        except BaseException:
            close_all(fds or ())
            raise

    @property
    def peer_pid(self) -> int:
        """The process that made the pair of sockets, which is the host; 0 where nobody tells."""
        if not hasattr(socket, "SO_PEERCRED"):
            return 0
        told = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid: int = _CREDENTIALS.unpack(told)[0]
        return pid

    def close(self) -> None:
        """Close the socket; a ``send`` that waits in another thread ends with ``EOFError``."""
        with contextlib.suppress(OSError):  # the peer was faster, or it is closed already
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._send_lock:
            if self._closed:
                return
            self._closed = True
            self._socket.close()
            if self._pidfd is not None:
                os.close(self._pidfd)

    def abandon_after_fork(self) -> None:
        """Let go of the descriptors in a forked child, without locks and without a message."""
        self._closed = True
        self._socket.close()
        if self._pidfd is not None:
            os.close(self._pidfd)

    def _read(self, length: int) -> bytearray:
        buffer = bytearray(length)
        view = memoryview(buffer)
        while view:
            try:
                received = self._socket.recv_into(view)
            except ConnectionError:
                received = 0
            if received == 0:
                raise EOFError("the peer of the control connection is gone")
            view = view[received:]
        return buffer

    def _read_descriptors(self, count: int) -> tuple[int, ...] | None:
        fds: list[int] = []
        for start in range(0, count, _DESCRIPTORS_PER_BYTE):
            data, more = receive_descriptors(
                self._socket, 1, min(count - start, _DESCRIPTORS_PER_BYTE)
            )
            fds += more
            if not data:
                close_all(fds)
                raise EOFError("the peer of the control connection is gone")
        if len(fds) != count:
            close_all(fds)
            return None
        return tuple(fds)


def receive_descriptors(
    sock: socket.socket, size_bytes: int, count: int
) -> tuple[bytes, tuple[int, ...]]:
    """One message of at most ``size_bytes`` and the descriptors with it, at most ``count``.

    Fewer than were sent if this process is at its limit of open files.
    """
    fds = array.array("i")
    # socket.recv_fds of Python 3.10 drops its flags, and descriptors must not be inheritable for
    # even a moment: another thread may be starting a process.
    data, ancillary, _, _ = sock.recvmsg(
        size_bytes, socket.CMSG_SPACE(count * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, tuple(fds)


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors that found no owner."""
    for fd in fds:
        os.close(fd)


def _open_pidfd(pid: int | None) -> int | None:
    if pid is None or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # an older kernel, or the process is gone: end-of-file tells as well
        return None
