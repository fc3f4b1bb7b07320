"""Waiting for a change without a lock, so that whoever waits may be interrupted anywhere.

::

    who waits                         who changes something
    hang up a bell                    change it
    look: is it so?  ─ yes ─► go on   take every bell down and ring it
    wait for the bell, look again

A bell that is forgotten, because its owner was interrupted, is rung once and gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

LONGEST_S = 3600.0
"""One wait; longer ones are several, because ``poll`` refuses a month and locks some centuries."""

AGAIN_S = 0.02
"""After how long is looked again where nobody may ring: a result is in the hands of a call that
may have been interrupted.  As long as a film shows a picture: nobody sees it."""


class Changed:
    """Something that threads and event loops can wait for."""

    def __init__(self) -> None:
        # Ordered sets: all that is done to them is done in one step of the interpreter.
        self._bells: dict[Callable[[], None], None] = {}
        self._listeners: dict[Callable[[], None], None] = {}

    def tell(self) -> None:
        """Wake all that wait, and call the listeners."""
        if self._bells:
            for ring in tuple(self._bells):
                self._bells.pop(ring, None)
                with suppress(RuntimeError):  # it was rung before
                    ring()
        if self._listeners:
            for listener in tuple(self._listeners):
                listener()

    def wait(
        self,
        ready: Callable[[], bool],
        timeout_s: float | None,
        doubtful: Callable[[], bool] | None = None,
    ) -> bool:
        """Wait until ``ready()``; False after ``timeout_s``.

        It is asked again at every change, and by the clock while ``doubtful()``.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        bell = threading.Lock()
        ring = bell.release
        try:
            while True:
                bell.acquire(False)
                self._bells[ring] = None
                if ready():
                    return True
                left_s = LONGEST_S if deadline is None else deadline - time.monotonic()
                if left_s <= 0:
                    return False
                if doubtful is not None and doubtful():
                    left_s = min(left_s, AGAIN_S)
                bell.acquire(True, min(left_s, LONGEST_S))
        finally:
            self._bells.pop(ring, None)

    def telling(self, listener: Callable[[], None]) -> Telling:
        """Call ``listener`` at every change meanwhile, from whatever thread makes it."""
        return Telling(self._listeners, listener)


class Telling:
    """A listener listens while this is entered."""

    def __init__(
        self, listeners: dict[Callable[[], None], None], listener: Callable[[], None]
    ) -> None:
        self._listeners = listeners
        self._listener = listener

    def __enter__(self) -> None:
        self._listeners[self._listener] = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listeners.pop(self._listener, None)
