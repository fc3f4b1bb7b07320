"""Which calls are still running, as the interpreter itself knows it.

A call that an exception of a signal handler ends anywhere cannot be trusted to say so: the
exception may come inside of whatever would say it.  But the stacks of the threads are always true.
Looking at them costs some microseconds, so they are asked only where it matters.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import CodeType
from typing import TypeVar

_Function = TypeVar("_Function", bound=Callable[..., object])

_claiming: set[CodeType] = set()


def claiming(function: _Function) -> _Function:
    """Mark a function that keeps its :class:`Claim` in a variable ``claim``."""
    _claiming.add(function.__code__)
    return function


class Claim:
    """Says that a call is about to hand something out, for as long as the call runs."""

    __slots__ = ("_thread",)

    def __init__(self) -> None:
        """For a call of this thread, whose function is marked by :func:`claiming`."""
        self._thread = threading.get_ident()

    def holds(self) -> bool:
        """Whether the call still runs, perhaps below one that a signal handler makes."""
        frame = sys._current_frames().get(self._thread)
        while frame is not None:
            if frame.f_code in _claiming and frame.f_locals.get("claim") is self:
                return True
            frame = frame.f_back
        return False


def wait_for_calls(codes: set[CodeType], timeout_s: float) -> None:
    """Wait until no other thread is inside of these functions."""
    deadline = time.monotonic() + timeout_s
    while _inside(codes) and time.monotonic() < deadline:
        time.sleep(0.0005)


def _inside(codes: set[CodeType]) -> bool:
    mine = threading.get_ident()
    for thread, top in sys._current_frames().items():
        frame = top if thread != mine else None
        while frame is not None:
            if frame.f_code in codes:
                return True
            frame = frame.f_back
    return False
