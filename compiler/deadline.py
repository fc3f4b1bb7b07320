"""A time limit that is asked, not enforced.

Whoever works for long is handed the deadline and asks it between two steps, none of which takes
long: reading asks per table of the file, compiling per step of each segment.  That ends a
compilation in any thread and on any system, and only where nothing is half done; a timer of the
operating system would reach the main thread of a POSIX program only, and break in anywhere.
"""

from __future__ import annotations

import math
import time

from devices.errors import ModelError


class Deadline:
    """The moment by which a compilation has to be done, counted from now.

    ``timeout_sec`` seconds are allowed; any positive number, infinity included.
    """

    def __init__(self, timeout_sec: float = math.inf) -> None:
        self._timeout_sec = timeout_sec
        self._end_sec = time.monotonic() + timeout_sec

    def check(self) -> None:
        """Raise :class:`~devices.errors.ModelError` once the time is up."""
        if time.monotonic() >= self._end_sec:
            raise ModelError(
                f"Compilation failed: it took longer than timeout_sec = {self._timeout_sec:g}; "
                "allow more time."
            )
