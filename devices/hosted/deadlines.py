"""How long a device process may take for what it is asked to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, fields
from typing import Any

from devices.errors import ConfigError

LOOK_S = 0.25
"""In which intervals it is looked whether a device that somebody waits for is stopped."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds after which a device counts as hung; it is killed then, and ``DeviceDied`` says so.

    A device whose process was stopped (SIGSTOP, a debugger) is not waited for that long: every call
    gives it up after ``stopped_s``.  ``health`` and ``unload`` never kill: what they ask for is
    not worth a device that may only be busy.
    """

    start_s: float = 60.0
    """Until its chip exists: a real one loads its firmware."""

    load_s: float = 60.0
    """For one executable: a hundred times what the largest model of the zoo takes."""

    run_s: float = 60.0
    """For one inference; also for taking a message, which a device always does at once."""

    answer_s: float = 5.0
    """For ``health`` and ``unload``."""

    stopped_s: float = 1.0
    """How long a process may be seen stopped while somebody waits for it."""

    close_s: float = 1.0
    """For ending by itself once it is asked to, before it is killed."""

    def __post_init__(self) -> None:
        """Refuse what cannot be waited for.  Raises ``ConfigError``."""
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < value <= threading.TIMEOUT_MAX:
                raise ConfigError(
                    f"{field.name} of the deadlines of a device is {value!r} and must be a number "
                    f"of seconds above 0, at most {threading.TIMEOUT_MAX:g}"
                )


def is_done_in_time(
    future: Future[Any], within_s: float, stopped_s: float, is_stopped: Callable[[], bool]
) -> bool:
    """Wait for a future; False after ``within_s``, or ``stopped_s`` after who makes it stopped."""
    deadline = time.monotonic() + within_s
    stopped_since: float | None = None
    while True:
        try:
            future.exception(max(0.0, min(LOOK_S, deadline - time.monotonic())))
            return True
        except FutureTimeout:
            now = time.monotonic()
        if not is_stopped():
            stopped_since = None
        elif stopped_since is None:
            stopped_since = now
        if now >= deadline or (stopped_since is not None and now - stopped_since >= stopped_s):
            return future.done()
