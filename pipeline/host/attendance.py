"""Who moves items at the host's ends: a thread that waits for a result, or the pump.

::

    nobody pops                    pump watches the channels and collects results
    a thread waits in pop          it watches them itself and takes its result: nobody is woken
    it left a moment ago           nobody watches; the pump looks again after a grace

Handing every result from one thread to another costs more than carrying it through a stage.  So
whoever waits does the pump's work, and the pump keeps to what only it does: noticing deaths.  It
must not take over the moment the thread is gone, which will be back for the next item, but it has
to soon: results are collected, and stages have room, whether or not anybody pops.

Either way the channels are touched only with the sink's lock held.  If both looked, nothing but
time would be lost.
"""

from __future__ import annotations

import math
import select
import threading
import time
from collections.abc import Callable
from enum import Enum, auto

from pipeline.host.wake_pipe import WakePipe

GRACE_NS = 5_000_000
"""How long the channels may stay unattended: as long as Python lets a busy thread keep the
interpreter from others (``sys.getswitchinterval``), so nobody can rely on less anyway."""


class _Pump(Enum):
    WATCHES = auto()  # sleeps in poll on all channels
    WAITS = auto()  # sleeps for the rest of a grace
    RESTS = auto()  # sleeps until told


class Attendance:
    """Guarded by the sink's lock, except where said."""

    def __init__(self, wake_pump: Callable[[], None]) -> None:
        self._wake_pump = wake_pump
        self._pipe = WakePipe()
        self._polls: dict[tuple[int, ...], select.poll] = {}
        self._pump = _Pump.WATCHES
        self._here: int | None = None
        self._asleep = 0
        self._seen_ns = 0
        self._looked_ns = -1
        self._closed = False

    @property
    def taken(self) -> bool:
        """Whether another thread watches the channels.

        If it is this one, it comes out of a signal handler, or was interrupted while it left.
        """
        return self._here is not None and self._here != threading.get_ident()

    def enter(self) -> None:
        """This thread is going to watch the channels."""
        self._here = threading.get_ident()
        if self._pump is _Pump.WATCHES:
            self.seen()
            self._wake_pump()

    def wait(self, descriptors: tuple[int, ...], timeout: float | None) -> None:
        """Wait for these, for :meth:`rouse` or for ``timeout`` seconds, without the lock."""
        # Out of a signal handler this thread may do it twice at once, with two objects.
        poll = self._polls.pop(descriptors, None)
        if poll is None:
            poll = select.poll()
            for descriptor in (*descriptors, self._pipe.fileno()):
                poll.register(descriptor, select.POLLIN)
        self._asleep += 1
        try:
            ready = poll.poll(None if timeout is None else math.ceil(timeout * 1000))
        finally:
            self._asleep -= 1
        self._polls[descriptors] = poll
        for descriptor, _ in ready:
            if descriptor not in descriptors:
                self._pipe.drain()

    def leave(self) -> None:
        """Stop watching; to be called whatever happened since :meth:`enter`."""
        self._here = None
        if self._closed:
            self._pipe.close()
        else:
            self.seen()
            if self._pump is _Pump.RESTS:
                self._wake_pump()

    def seen(self) -> None:
        """Somebody took a result, and will be back."""
        self._seen_ns = time.monotonic_ns()

    def rouse(self) -> None:
        """Let the thread that watches look at what has changed.  Without the lock, too."""
        if self._here is not None or self._asleep:
            self._pipe.wake()

    def rest_ns(self, needed: bool) -> int | None:
        """Asked by the pump before it sleeps: for how long it may leave the channels alone.

        ``None``: until it is woken.  With ``needed`` somebody waits who cannot watch himself.
        """
        now_ns = time.monotonic_ns()
        left_ns = self._seen_ns + GRACE_NS - now_ns
        if needed:
            left_ns = 0
        elif self._here is not None:
            left_ns = GRACE_NS
            if self._seen_ns == self._looked_ns:  # nothing has happened since the last time
                if self._asleep:
                    self._pump = _Pump.RESTS
                    return None
                left_ns = 0  # it is late, or was interrupted while it left
        self._looked_ns = self._seen_ns
        self._pump = _Pump.WATCHES if left_ns <= 0 else _Pump.WAITS
        return max(0, left_ns)

    def tell(self) -> None:
        """Have whoever watches look again, or will in a moment.  Without the lock, too."""
        if self._here is not None:
            self._pipe.wake()
        elif self._pump is not _Pump.WAITS:
            self._wake_pump()

    def summon(self) -> None:
        """Have the pump watch, for somebody who cannot.  Without the lock, too."""
        if self._pump is not _Pump.WATCHES:
            self._wake_pump()

    def close(self) -> None:
        """Give the pipe back; whoever is watching then does it when he leaves."""
        self._closed = True
        if self._here is None:
            self._pipe.close()

    def abandon_after_fork(self) -> None:
        """In a forked child: let go of the pipe, which is the parent's."""
        self._here, self._asleep = None, 0
        self._closed = True
        self._pipe.abandon_after_fork()
