"""Waiting for what is promised to happen without saying when, on a machine however busy.

Nothing here says how fast something is: what comes is waited for, and only what does not come
fails.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import psutil

Seen = TypeVar("Seen")

LONG_S = 120.0
"""What takes longer does not happen any more."""


def until(happened: Callable[[], object]) -> None:
    """Wait until this is so; fails if it is not before long."""
    last = time.monotonic() + LONG_S
    while not happened():
        assert time.monotonic() < last, "it did not happen"
        threading.Event().wait(0.002)


def settled(look: Callable[[], Seen], expected: Seen) -> Seen:
    """What is seen once it is as expected, or after long where that does not happen.

    For what is put away: a thread that has done its last work, say, takes a moment to end.
    """
    last = time.monotonic() + LONG_S
    while (seen := look()) != expected and time.monotonic() < last:
        threading.Event().wait(0.002)
    return seen


def gone(process: psutil.Process | int) -> bool:
    """Whether a process has ended, be it that its parent has not asked yet how."""
    try:
        process = psutil.Process(process) if isinstance(process, int) else process
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def all_end(processes: Iterable[psutil.Process | int]) -> bool:
    """Wait until these have ended; False if one goes on."""
    last = time.monotonic() + LONG_S
    left = list(processes)
    while left := [process for process in left if not gone(process)]:
        if time.monotonic() > last:
            return False
        threading.Event().wait(0.002)
    return True


def stop(pid: int) -> None:
    """Stop a process, and wait until it has stopped: the signal takes its time."""
    os.kill(pid, signal.SIGSTOP)
    process = psutil.Process(pid)
    until(lambda: process.status() == psutil.STATUS_STOPPED)
