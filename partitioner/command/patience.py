"""Waiting for a search no longer than wanted: a time limit, Ctrl-C and SIGTERM act at once.

The search runs in a thread of its own.  Whatever it is in the middle of (a compiler that hangs, a
device that does not answer, thinking), whoever waits here goes on within a second.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import TypeVar

from partitioner.measuring import MeasuringStopped, StopSign

T = TypeVar("T")

_OWN_END_S = 0.3
"""What a search has to end by itself at its time limit, between two measurements."""

_CALLED_OFF_S = 0.3
"""What it has to end once compilers are killed, before devices are given up, and again then."""


def patiently(work: Callable[[], T], stop: StopSign, timeout_s: float | None) -> T:
    """The result of ``work``, which ``stop`` calls off, after ``timeout_s`` at the latest.

    Raises what ``work`` raises, ``MeasuringStopped`` if the time was up before it had a result,
    and what a signal handler raises meanwhile.  A thread that goes on thinking all the same is left
    behind; it can measure nothing any more.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="search", daemon=True).start()
    try:
        wait([outcome], None if timeout_s is None else timeout_s + _OWN_END_S)
        if not outcome.done():
            _call_off(stop, outcome)
    except BaseException:
        with contextlib.suppress(KeyboardInterrupt):  # once is enough
            _call_off(stop, outcome)
        raise
    if not outcome.done():
        raise MeasuringStopped
    return outcome.result()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let signals come too late while the body, which takes a moment, does what is not to be done
    by half."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say so, and only it would be disturbed
        return
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ending}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _call_off(stop: StopSign, outcome: Future[T]) -> None:
    stop.call_off()
    wait([outcome], _CALLED_OFF_S)
    if not outcome.done():
        stop.call_off(force=True)
        wait([outcome], _CALLED_OFF_S)
