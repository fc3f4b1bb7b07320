"""A pipe to oneself, to wake a thread that sleeps in ``poll``."""

from __future__ import annotations

import os
import select
from contextlib import suppress

from pipeline.host.calls import wait_for_calls


class WakePipe:
    """``wake`` from any thread ends, or prevents, the one ``sleep``.

    There is no lock, which an interrupted ``wake`` might keep.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._news = False
        self._asleep = False
        self._polls: dict[tuple[int, ...], select.poll] = {}

    def wake(self) -> None:
        """Have the sleeper look around; does nothing after :meth:`close`."""
        self._news = True
        if self._asleep:
            with suppress(OSError):  # full: it wakes anyway; closed: nobody is there
                os.write(self._write, b"\0")

    def forget(self) -> None:
        """Nothing that was told so far shall prevent sleep: it is about to be looked at."""
        self._news = False

    def sleep(self, descriptors: tuple[int, ...], milliseconds: int | None) -> None:
        """Wait until one of these is readable, for ``wake`` since ``forget``, or so long."""
        poll = self._polls.get(descriptors)
        if poll is None:
            if len(self._polls) > 16:
                self._polls.clear()
            poll = self._polls[descriptors] = select.poll()
            for descriptor in (*descriptors, self._read):
                poll.register(descriptor, select.POLLIN)
        self._asleep = True
        ready = poll.poll(0 if self._news else milliseconds)
        self._asleep = False
        for descriptor, _ in ready:
            if descriptor == self._read:
                with suppress(BlockingIOError):
                    os.read(self._read, 4096)

    def close(self) -> None:
        """Close both ends."""
        write, self._write = self._write, -1
        if write >= 0:
            # Whoever read the number before must not write into what it stands for next.
            wait_for_calls({WakePipe.wake.__code__}, 1.0)
            os.close(write)
            os.close(self._read)

    def abandon_after_fork(self) -> None:
        """In a forked child: let go of both ends, which are the parent's."""
        self.close()
