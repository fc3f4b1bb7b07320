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
        super().__init__()
        self._listeners: tuple[Callable[[], None], ...] = ()

    def notify_all(self) -> None:
        """Wake all threads that wait, and call the listeners (with the lock held)."""
        super().notify_all()
        for listener in self._listeners:
            listener()

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
