"""A pipe to oneself, to wake a thread that sleeps in ``poll``."""

from __future__ import annotations

import os
import threading
from contextlib import suppress


class WakePipe:
    """A pipe to oneself: ``wake`` from any thread makes ``fileno`` readable."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        # Reentrant, because the collector may drop the runner, which wakes, during a wake.
        self._lock = threading.RLock()
        self._closed = False

    def fileno(self) -> int:
        """The end to wait on."""
        return self._read

    def wake(self) -> None:
        """Make the other end readable; does nothing after :meth:`close`."""
        with self._lock, suppress(BlockingIOError):  # full: it is readable already
            if not self._closed:
                os.write(self._write, b"\0")

    def drain(self) -> None:
        """Forget all wakes so far."""
        with suppress(BlockingIOError):
            os.read(self._read, 4096)

    def abandon_after_fork(self) -> None:
        """In a forked child: let go of both ends, which are the parent's, without its locks."""
        self._lock = threading.RLock()
        self.close()

    def close(self) -> None:
        """Close both ends."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._read)
                os.close(self._write)
