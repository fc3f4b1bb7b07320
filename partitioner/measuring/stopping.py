"""Ending measurements: at once when they are called off, and those that never end.

A search runs in a thread; whoever waits for it (for an answer, a time limit, Ctrl-C) calls it off
through a :class:`StopSign`.  Who does something long shows how it is ended meanwhile::

    search ─► profiler ─► with stop.ending(kill the compiler): wait for it
                      └─► with stop.ending(close the device, force=True): run the segment

A compiler is killed as soon as the sign is set, a device only by force, since it is wanted again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from devices.device import Device
from devices.errors import DeviceDied, DeviceError


class MeasuringStopped(Exception):
    """Measuring was called off."""


class StopSign:
    """Set once, seen by all who measure.  Safe to use from any thread."""

    def __init__(self) -> None:
        self._set = False
        self._forced = False
        self._lock = threading.Lock()
        self._ends: dict[int, tuple[bool, Callable[[], None]]] = {}
        self._next = 0

    def check(self) -> None:
        """Raise :class:`MeasuringStopped` once the sign is set."""
        if self._set:
            raise MeasuringStopped

    def call_off(self, *, force: bool = False) -> None:
        """Set the sign and end what can be; with ``force`` devices in use, too."""
        with self._lock:
            self._set = True
            self._forced |= force
            ends = [number for number, (by_force, _) in self._ends.items() if force or not by_force]
            actions = [self._ends.pop(number)[1] for number in ends]
        for action in actions:
            action()

    @contextlib.contextmanager
    def ending(self, end: Callable[[], None], *, force: bool = False) -> Iterator[None]:
        """While the body runs, ``end`` makes it return; it is called at most once, at once if the
        sign is set.  Raises :class:`MeasuringStopped` behind a body that was ended."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            at_once = self._forced or (self._set and not force)
            if not at_once:
                self._ends[number] = force, end
        if at_once:
            end()
        try:
            yield
        finally:
            with self._lock:
                ended = self._ends.pop(number, None) is None
            if ended:
                raise MeasuringStopped


@contextlib.contextmanager
def watched(device: Device, timeout_s: float) -> Iterator[None]:
    """Close a device that does not answer in time, which ends the body with ``DeviceDied``."""
    fired = threading.Event()

    def fire() -> None:
        fired.set()
        device.close()

    timer = threading.Timer(timeout_s, fire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except DeviceError as error:
        if not fired.is_set():
            raise
        raise DeviceDied(
            f"{device.name} gave no answer for {timeout_s:g} seconds and was stopped",
            device=device.name,
        ) from error
    finally:
        timer.cancel()
