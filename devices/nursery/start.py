"""Which way a device process is started: forked by the nursery, or as a fresh interpreter.

A program has one nursery while it has devices or pools, so that all devices but the first are
quick to start, also one in the place of a device that died::

    first device or pool -> nursery starts (0.2 s) -> forks (2 ms each) -> last one closed: it ends

Where there can be none (systems other than Linux, kernels without pidfds) and while none is to be
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
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from devices.errors import DeviceError
from devices.nursery.interpreter import (
    DeviceProcess,
    device_environment,
    import_paths,
    occupy_standard_descriptors,
    start_interpreter,
    too_many,
)
from devices.process import ControlChannel, SafeLogger

if TYPE_CHECKING:
    from devices.nursery.client import ForkedProcess, Nursery

ATTEMPTS = 3
"""So many nurseries that were killed or stopped are tried for one device."""

AVOID_S = 60.0
"""When there was none to be had, it is tried again after so long."""

_READ_AT_START = (
    "PYTHON",
    *("LD_", "LC_", "LANG", "MALLOC_", "GLIBC_"),
    *("OMP_", "KMP_", "GOMP_", "OPENBLAS_", "MKL_", "NPY_", "NUMPY_", "TF_"),
)
"""Variables with these beginnings are read when the interpreter or a library is loaded."""

Origin = tuple[object, ...]
"""What only a new interpreter can have; devices of another origin need another nursery."""

_logger = SafeLogger("edgetpu.device.nursery")


def start_device_process(
    modules: tuple[str, ...] = (),
) -> tuple[DeviceProcess, ControlChannel]:
    """Start a device process; gives it and the control connection to it.  Raises ``DeviceError``.

    ``modules`` are worth importing in the nursery, for this device and others like it.
    The caller owns both and calls ``release`` of the process after it has ended.
    """
    try:
        occupy_standard_descriptors()
        release = _nurseries.hold()
        try:
            forked = _nurseries.fork((*modules, *_early))
        except BaseException:
            release()
            raise
        if forked is not None:
            process, channel = forked
            process.on_release = release
            return process, channel
        release()
        return _start_fresh()
    except DeviceError:
        raise
    except (OSError, RuntimeError, MemoryError) as error:  # no descriptor, no thread, no memory
        raise too_many(error) from error


def _start_fresh() -> tuple[DeviceProcess, ControlChannel]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with theirs:
            fresh = DeviceProcess(
                start_interpreter(
                    "devices.process.main",
                    theirs,
                    paths=import_paths(),
                    environment=device_environment(),
                    output=subprocess.PIPE,
                )
            )
        return fresh, ControlChannel(ours, fresh.pid)
    except BaseException:
        ours.close()
        raise


def import_early(module: str) -> None:
    """Name a module that programs on devices need, to be imported in the nursery once.

    For modules that start no threads when they are imported.  It holds for devices started later.
    """
    if module not in _early:
        _early.append(module)


def hold_nursery() -> Callable[[], None]:
    """Keep the nursery, once there is one, until the function given back is called."""
    return _nurseries.hold()


class _Nurseries:
    """Counts who needs a nursery, starts one for the first device, ends it with the last user."""

    def __init__(self) -> None:
        # Reentrant, because the collector may close a device or a pool inside any call.
        self._lock = threading.RLock()
        self._count = 0
        self._current: tuple[Origin, Nursery] | None = None
        self._avoided: Origin | None = None
        self._avoided_until = 0.0

    def hold(self) -> Callable[[], None]:
        """Count one more, until the function given back is called (once or more)."""
        with self._lock:
            self._count += 1
        held = [True]

        def release() -> None:
            with self._lock:
                if not held:
                    return
                held.clear()
                self._count -= 1
                last = self._count == 0
                nursery = self._current and self._current[1]
                if last:
                    self._current = self._avoided = None
            if last and nursery:
                nursery.retire()

        return release

    def fork(self, modules: tuple[str, ...]) -> tuple[ForkedProcess, ControlChannel] | None:
        """A device process from the nursery; ``None`` if there is no nursery to be had."""
        if not _possible():
            return None
        from devices.nursery.client import NurseryUnable

        environment = device_environment()
        origin = _origin(import_paths(), environment)
        with self._lock:
            if origin == self._avoided and time.monotonic() < self._avoided_until:
                return None
        why = ""
        for _ in range(ATTEMPTS):
            nursery: Nursery | None = None
            try:
                nursery = self._nursery(origin, environment)
                return nursery.fork(modules, environment)
            except NurseryUnable as error:
                self._drop(nursery)
                why = str(error)
                if not error.another:
                    break
        with self._lock:
            self._avoided, self._avoided_until = origin, time.monotonic() + AVOID_S
        _logger.warning(
            "devices are started as fresh interpreters, which takes longer: their nursery %s", why
        )
        return None

    def _nursery(self, origin: Origin, environment: Mapping[str, str]) -> Nursery:
        from devices.nursery.client import Nursery

        with self._lock:
            former = self._current
            if former is not None and former[0] == origin and not former[1].gone:
                return former[1]
            nursery = Nursery(environment)
            self._current = origin, nursery
        if former is not None:
            former[1].retire()
        return nursery

    def _drop(self, nursery: Nursery | None) -> None:
        with self._lock:
            if self._current is not None and self._current[1] is nursery:
                self._current = None
        if nursery is not None:
            nursery.retire()

    def end(self) -> None:
        """End the nursery now, whoever holds it."""
        with self._lock:
            current, self._current = self._current, None
        if current is not None:
            current[1].end()

    def abandon_after_fork(self) -> None:
        """In a forked child: let go of what belongs to the parent, without taking a lock."""
        if self._current is not None:
            self._current[1].abandon_after_fork()


def _origin(paths: tuple[str, ...], environment: Mapping[str, str]) -> Origin:
    import resource  # not there on every system

    limits = sorted(name for name in vars(resource) if name.startswith("RLIMIT_"))
    return (
        sys.executable,
        paths,
        *sorted(item for item in environment.items() if item[0].startswith(_READ_AT_START)),
        *(resource.getrlimit(getattr(resource, name)) for name in limits),
        *(os.getresuid(), os.getresgid(), *os.getgroups()),
        os.getpriority(os.PRIO_PROCESS, 0),
    )


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


_early: list[str] = []
_nurseries = _Nurseries()
_of_parents: list[_Nurseries] = []
"""Not collected, which would complain."""


def _abandon_after_fork() -> None:
    global _nurseries
    _nurseries.abandon_after_fork()
    _of_parents.append(_nurseries)
    _nurseries = _Nurseries()


def _end_at_exit() -> None:
    with contextlib.suppress(Exception):  # the interpreter is going, and the nursery with it
        _nurseries.end()


os.register_at_fork(after_in_child=_abandon_after_fork)
atexit.register(_end_at_exit)
