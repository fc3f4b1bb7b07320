"""Interruptions of the calling thread inside the pipeline, as signal handlers that raise are.

Three kinds: an exception before the k-th bytecode that the thread executes in a file of
``pipeline/``, a handler of a signal that comes once the thread waits there, which both are
deterministic, and a handler of a real timer.

Left out of the first kind is the end of a function, from where nothing can be undone any more:
``RETURN_VALUE`` and the load of the value before it.  Python never runs a handler between these
and whatever comes before them, if that is no call.
"""

from __future__ import annotations

import dis
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.waiting import until

ROOM = str(Path(__file__).resolve().parents[2] / "pipeline") + os.sep


class Interruption(Exception):
    """What a handler raises, as an ordinary exception."""


class Abort(BaseException):
    """What a handler raises, as an exception of the kind of ``KeyboardInterrupt``."""


class Fuse:
    """Whether the interruption happened, and where."""

    def __init__(self) -> None:
        self.blown = 0
        self.place = ""

    def blow(self, frame: FrameType, kind: type[BaseException]) -> None:
        self.blown += 1
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        self.place = f"{os.path.basename(code.co_filename)}:{frame.f_lineno} {name}"
        raise kind(self.place)


@cache
def _settled(code: CodeType) -> frozenset[int]:
    """Offsets of bytecodes that only hand over the value a function returns."""
    offsets: set[int] = set()
    previous: dis.Instruction | None = None
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith("RETURN_"):
            offsets.add(instruction.offset)
            if previous is not None and previous.opname.startswith("LOAD_FAST"):
                offsets.add(previous.offset)
        if instruction.opname not in ("CACHE", "EXTENDED_ARG"):
            previous = instruction
    return frozenset(offsets)


@contextmanager
def interrupted_at(position: int, kind: type[BaseException] = Interruption) -> Iterator[Fuse]:
    """Raise once, before this bytecode of the pipeline, counted from 0."""
    fuse = Fuse()
    passed = itertools.count()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(ROOM):
            return None
        frame.f_trace_opcodes = True
        counts = event == "opcode" and frame.f_lasti not in _settled(code)
        if counts and next(passed) == position and not fuse.blown:
            fuse.blow(frame, kind)
        return None if fuse.blown else trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield fuse
    finally:
        sys.settrace(before)


@contextmanager
def interrupted_after(seconds: float, kind: type[BaseException] = Interruption) -> Iterator[Fuse]:
    """Raise once from the handler of a real timer, the first time it finds the pipeline at work."""
    fuse = Fuse()

    def handle(number: int, frame: FrameType | None) -> None:
        inside = frame
        while inside is not None:
            if inside.f_code.co_filename.startswith(ROOM):
                signal.setitimer(signal.ITIMER_REAL, 0)
                fuse.blow(inside, kind)
            inside = inside.f_back

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, seconds, max(seconds, 1e-4))
    try:
        yield fuse
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def signalled_while_waiting(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Call the handler of a signal in this thread, the main one, once it waits in the pipeline."""
    here, over = threading.get_ident(), threading.Event()

    def waits() -> bool:
        code = sys._current_frames()[here].f_code
        return code.co_filename.startswith(ROOM) and code.co_name == "wait"

    def send() -> None:
        until(lambda: over.is_set() or waits())
        if not over.is_set():
            signal.pthread_kill(here, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)
