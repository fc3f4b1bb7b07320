"""A condition variable that event loops can wait for, too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Changed(threading.Condition):
    """A condition whose ``notify_all`` also calls listeners, which must not block.

    Threads wait with ``wait`` as ever; a coroutine, which must not, has itself woken by a listener.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """The same as the condition itself to those who only lock: it costs less."""
        super().__init__(self.lock)
        self._waiting = 0
        self._listeners: tuple[Callable[[], None], ...] = ()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until notified, or ``timeout`` seconds."""
        self._waiting += 1
        try:
            return super().wait(timeout)
        finally:
            self._waiting -= 1

    def notify_all(self) -> None:
        """Wake all threads that wait, and call the listeners (with the lock held)."""
        if self._waiting:
            super().notify_all()
        for listener in self._listeners:
            listener()

    @property
    def listened(self) -> bool:
        """Whether anybody is called."""
        return bool(self._listeners)

    @contextmanager
    def telling(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call ``listener`` at every change meanwhile, from whatever thread makes it."""
        with self:
            self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            with self:
                self._listeners = tuple(other for other in self._listeners if other is not listener)
