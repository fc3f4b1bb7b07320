"""Which way a device process is started: forked by the nursery, or as a fresh interpreter.

A program has one nursery while it has devices or pools, so that all devices but the first are
quick to start, also one in the place of a device that died::

    first device or pool -> nursery starts (0.2 s) -> forks (2 ms each) -> last one closed: it ends

Where there can be none (systems other than Linux, kernels without pidfds) and where none is to be
had (it cannot start, or is killed or stopped again and again), each device process is a fresh
interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from devices.errors import DeviceError
from devices.nursery.launch import (
    DeviceProcess,
    FreshProcess,
    device_environment,
    import_paths,
    start_interpreter,
)
from devices.process import ControlChannel, SafeLogger

if TYPE_CHECKING:
    from devices.nursery.hosted import ForkedProcess, HostedNursery
    from devices.nursery.surroundings import Origin

_ATTEMPTS = 3
"""So many nurseries that ended or stopped are tried for one device."""

_logger = SafeLogger("edgetpu.device.nursery")


def start_device_process(
    modules: tuple[str, ...] = (),
) -> tuple[DeviceProcess, ControlChannel]:
    """Start a device process; gives it and the control connection to it.  Raises ``DeviceError``.

    ``modules`` are worth importing in the nursery, for this device and others like it.
    The caller owns both and calls ``release`` of the process after it has ended.
    """
    release = _holds.hold()
    try:
        forked = _holds.fork((*modules, *_early))
    except BaseException:
        release()
        raise
    if forked is not None:
        process, channel = forked
        process.on_release = release
        return process, channel
    release()
    with _Ends(output=False) as ends:
        fresh = FreshProcess(
            start_interpreter(
                "devices.process.main",
                ends.theirs,
                paths=import_paths(),
                environment=device_environment(),
                output=subprocess.PIPE,
            )
        )
        return fresh, ControlChannel(ends.keep(), fresh.pid)


def import_early(module: str) -> None:
    """Name a module that programs on devices need, to be imported in the nursery once.

    For modules that start no threads when they are imported.  It holds for devices started later.
    """
    if module not in _early:
        _early.append(module)


def hold_nursery() -> Callable[[], None]:
    """Keep the nursery, once there is one, until the function given back is called."""
    return _holds.hold()


class _Ends:
    """What connects host and device: a socket pair, and a pipe for the output if asked for.

    A context manager that closes the device's ends in any case, and the host's unless they are
    kept.  Raises ``DeviceError`` at the limit of open files.
    """

    def __init__(self, *, output: bool) -> None:
        self.reader: IO[bytes] | None = None
        self.writer = -1
        self.directory = -1
        self._kept = False
        try:
            self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise _too_many(error) from error
        if output:
            try:
                reader, self.writer = os.pipe()
                self.reader = os.fdopen(reader, "rb", buffering=0)
                # O_PATH, because it may have been removed, or be unreadable.
                self.directory = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                self.__exit__()
                raise _too_many(error) from error

    def keep(self) -> socket.socket:
        """The host's end of the socket pair, which the caller owns now."""
        self._kept = True
        return self._ours

    def __enter__(self) -> _Ends:
        return self

    def __exit__(self, *_: object) -> None:
        self.theirs.close()
        for fd in (self.writer, self.directory):
            if fd >= 0:
                os.close(fd)
        if not self._kept:
            self._ours.close()
            if self.reader is not None:
                self.reader.close()


class _Holds:
    """Counts who needs a nursery, starts one for the first device, ends it with the last user."""

    def __init__(self) -> None:
        # Reentrant, because the collector may close a device or a pool inside any call.
        self._lock = threading.RLock()
        self._count = 0
        self._nurseries: dict[Origin, HostedNursery] = {}
        """The one in use; while another is starting to take its place, both."""
        self._failed: Origin | None = None

    def hold(self) -> Callable[[], None]:
        """Count one more, until the function given back is called (once or more)."""
        with self._lock:
            self._count += 1
        held = [True]

        def release() -> None:
            last: list[HostedNursery] = []
            with self._lock:
                if held:
                    held.clear()
                    self._count -= 1
                    if self._count == 0:
                        last = list(self._nurseries.values())
                        self._nurseries.clear()
                        self._failed = None
            for nursery in last:
                nursery.retire()

        return release

    def fork(self, modules: tuple[str, ...]) -> tuple[ForkedProcess, ControlChannel] | None:
        """A device process from the nursery; ``None`` if there is no nursery to be had."""
        if not _possible():
            return None
        from devices.nursery.hosted import NurseryUnable
        from devices.nursery.surroundings import Origin

        environment = device_environment()
        origin = Origin.here(import_paths(), environment)
        why = ""
        for _ in range(_ATTEMPTS):
            nursery = self._nursery(origin, environment)
            if nursery is None:
                return None
            try:
                nursery.wait_ready()
            except NurseryUnable as error:
                self._drop(nursery)
                why = str(error)
                break  # another would fare no better
            self._retire_all_but(nursery)
            try:
                with _Ends(output=True) as ends:
                    assert ends.reader is not None
                    fds = (ends.theirs.fileno(), ends.writer, ends.directory)
                    process = nursery.fork(fds, ends.reader, environment, modules)
                    return process, ControlChannel(ends.keep(), pidfd=process.pidfd)
            except NurseryUnable as error:
                self._drop(nursery)
                why = str(error)
        with self._lock:
            self._failed = origin
        _logger.warning(
            "devices are started as fresh interpreters, which takes longer: their nursery %s", why
        )
        return None

    def _nursery(self, origin: Origin, environment: dict[str, str]) -> HostedNursery | None:
        from devices.nursery.hosted import HostedNursery

        with self._lock:
            if origin == self._failed:
                return None
            nursery = self._nurseries.get(origin)
            if nursery is None or nursery.gone:
                nursery = self._nurseries[origin] = HostedNursery(origin, environment)
            return nursery

    def _retire_all_but(self, chosen: HostedNursery) -> None:
        with self._lock:
            others = [n for n in self._nurseries.values() if n is not chosen]
            if others:
                self._nurseries = {chosen.origin: chosen}
        for nursery in others:
            nursery.retire()

    def _drop(self, nursery: HostedNursery) -> None:
        with self._lock:
            if self._nurseries.get(nursery.origin) is nursery:
                del self._nurseries[nursery.origin]
        nursery.retire()

    def end(self) -> None:
        """End the nursery now, whoever holds it."""
        with self._lock:
            nurseries = list(self._nurseries.values())
            self._nurseries.clear()
        for nursery in nurseries:
            nursery.end()

    def abandon_after_fork(self) -> None:
        """In a forked child: let go of what belongs to the parent, without taking a lock."""
        self._lock = threading.RLock()
        self._strangers = list(self._nurseries.values())  # not collected, which would complain
        self._nurseries = {}
        for nursery in self._strangers:
            nursery.abandon_after_fork()


@functools.cache
def _possible() -> bool:
    """Whether this system has what a nursery needs: Linux 5.3 and later."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _too_many(error: OSError) -> DeviceError:
    return DeviceError(
        f"no connection to a device process could be opened: {error}; raise the limit of open "
        "files (ulimit -n) or use fewer devices"
    )


_early: list[str] = []
_holds = _Holds()
_of_parents: list[_Holds] = []


def _abandon_after_fork() -> None:
    global _holds
    _holds.abandon_after_fork()
    _of_parents.append(_holds)
    _holds = _Holds()


def _end_at_exit() -> None:
    with contextlib.suppress(Exception):  # the interpreter is going, and the nursery with it
        _holds.end()


os.register_at_fork(after_in_child=_abandon_after_fork)
atexit.register(_end_at_exit)
