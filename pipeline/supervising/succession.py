"""Finding a device for the place of one that was lost: within a time, not within some tries.

::

    try a device ── it works ───────────────────────────────────► it takes over
         │  ├─ it fails ──── pause (10 ms, doubled each time) ──┐
         │  └─ no word for a while ─── hedge: try another, too ─┤   until the time is over,
         └──────────────────────────◄──────────────────────────┘   or nothing is left to try

So one that is killed, stopped or starved while it starts costs a quarter of a second, and none of
its kind, however many, breaks a pipeline.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from devices.device import Device, Loaded
from devices.errors import ModelError
from devices.process import SafeLogger
from pipeline.supervising.replacements import Replacements, give_up, known_dead

HEDGE_S = 0.25
"""When a device has not taken over after so long, another is tried beside it; doubled each time.

Twenty times what a device of a nursery needs, so that it seldom happens for nothing.
"""

MOST_AT_ONCE = 3
"""So many devices are tried at a time for one place."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 1.0
"""How long to wait after a try that failed before the next."""

NOBODY_LEFT = "No device is left to replace it"

Load = Callable[[Device, float], list[Loaded]]
"""Loads what the place needs; kills the device if that takes longer than so many seconds."""

_logger = SafeLogger(__name__)


class NoSuccessor(Exception):
    """Nobody took over; the text is a sentence, without its full stop, that says why."""


@dataclass(eq=False)
class _Try:
    """One device.  At its end: neither ``loaded`` nor ``error`` if there was none to try."""

    device: Device | None = None
    loaded: list[Loaded] | None = None
    error: BaseException | None = None


class Succession:
    """One place, from its loss until somebody has taken it.  For one thread, but ``stop``."""

    def __init__(
        self,
        lost: Device,
        replacements: Replacements,
        load: Load,
        *,
        patience_s: float,
        time_s: float,
    ) -> None:
        """``patience_s`` is for the first device to load, and doubles with each that fails."""
        self._lost = lost
        self._replacements = replacements
        self._load = load
        self._patience_s = patience_s
        self._time_s = time_s
        self._deadline = time.monotonic() + time_s
        self._lock = threading.Lock()
        self._under_way: set[_Try] = set()
        self._ended: queue.SimpleQueue[_Try | None] = queue.SimpleQueue()
        self._useless: list[Device] = []
        self._last: BaseException | None = None
        self._pause_s = 0.0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Nobody needs a successor any more: :meth:`find` ends without one."""
        self._stopped.set()
        self._ended.put(None)

    def find(self) -> tuple[Device, list[Loaded]] | None:
        """A device and what it has loaded; ``None`` after :meth:`stop`.

        It has been claimed for the caller, who may reject it (:meth:`failed`) and call again.
        Raises :class:`NoSuccessor`.
        """
        try:
            return self._find()
        finally:
            with self._lock:
                self._under_way.clear()  # who comes too late sees to itself

    def _find(self) -> tuple[Device, list[Loaded]] | None:
        hedge_s = HEDGE_S
        another = True
        while not self._stopped.is_set():
            left_s = self._deadline - time.monotonic()
            if left_s <= 0:
                raise self._nobody(f"Within {self._time_s:g} s nobody took over")
            if another:
                self._begin()
            another = False
            try:
                ended = self._ended.get(timeout=min(hedge_s, left_s))
            except queue.Empty:
                hedge_s *= 2
                another = len(self._under_way) < MOST_AT_ONCE
                continue
            if ended is None or ended not in self._under_way:
                continue
            self._under_way.discard(ended)
            if ended.error is not None:
                self.failed(ended.device, ended.error)
                another = True
            elif ended.device is not None and ended.loaded is not None:
                return ended.device, ended.loaded
            elif not self._under_way:
                raise self._nobody(NOBODY_LEFT)
        return None

    def failed(self, device: Device | None, error: BaseException) -> None:
        """A device is of no use; waits a little, so that the next one is not tried at once."""
        _logger.warning(
            "device %s cannot take over from %s: %s",
            self._lost.name if device is None else device.name,
            self._lost.name,
            error,
        )
        self._last = error
        if device is not None:
            give_up([device])
            same_again = isinstance(error, ModelError) or not self._replacements.restartable(device)
            if same_again and not known_dead(device):
                self._useless.append(device)
        self._stopped.wait(min(self._pause_s, max(0.0, self._deadline - time.monotonic())))
        self._pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * self._pause_s))
        self._patience_s *= 2

    def _begin(self) -> None:
        begun = _Try()
        with self._lock:
            self._under_way.add(begun)
        thread = threading.Thread(
            target=self._try, args=(begun, self._patience_s), name="pipeline successor", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads: then without hedges
            self._try(begun, self._patience_s)

    def _try(self, mine: _Try, patience_s: float) -> None:
        try:
            with self._lock:
                tried = [one.device for one in self._under_way if one.device is not None]
            mine.device = self._replacements.next(self._lost, [*tried, *self._useless])
            if mine.device is not None:
                mine.loaded = self._load(mine.device, patience_s)
        except BaseException as error:
            mine.error = error
        with self._lock:
            wanted = mine in self._under_way
        self._ended.put(mine)
        if not wanted and mine.device is not None:
            if mine.error is None:
                self._replacements.take_back(mine.device)
            else:
                give_up([mine.device])

    def _nobody(self, why: str) -> NoSuccessor:
        last = "" if self._last is None else f"; the last that was tried failed: {self._last}"
        return NoSuccessor(f"{why}{last}")
