"""A system that has run out of something: the k-th call that needs it fails, once or from then on.

Calls are counted in all threads of this process, wherever they come from, libraries included.
"""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HOME = str(Path(__file__).resolve().parents[1])


def _no_descriptors() -> BaseException:
    return OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _no_memory() -> BaseException:
    return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def _no_processes() -> BaseException:
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _no_threads() -> BaseException:
    return RuntimeError("can't start new thread")


CALLS: dict[str, tuple[Callable[[], BaseException], list[tuple[Any, str]]]] = {
    "descriptors": (
        _no_descriptors,
        [
            (os, "pipe"),
            (os, "dup"),
            (os, "open"),
            (os, "memfd_create"),
            (os, "pidfd_open"),
            (socket, "socketpair"),
        ],
    ),
    "memory": (_no_memory, [(mmap, "mmap"), (os, "ftruncate"), (os, "memfd_create")]),
    "processes": (_no_processes, [(subprocess, "Popen")]),
    "threads": (_no_threads, [(threading.Thread, "start")]),
}


class Starvation:
    """What happened under it."""

    def __init__(self) -> None:
        self.calls = 0
        """How many calls there were that could fail."""
        self.failed: list[str] = []
        """Which did, and where."""


@contextmanager
def starving(what: str, first: int, *, last: int | None = None) -> Iterator[Starvation]:
    """Fail the calls from ``first`` (counted from 0) to ``last``, that one alone by default."""
    error, places = CALLS[what]
    last = first if last is None else last
    seen, counter = Starvation(), itertools.count()

    def failing(name: str, real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            frame = sys._getframe(1)
            while frame.f_back is not None and not frame.f_code.co_filename.startswith(HOME):
                frame = frame.f_back
            number = next(counter)
            seen.calls = max(seen.calls, number + 1)
            if first <= number <= last:
                place = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
                seen.failed.append(f"{name} at {place}")
                raise error()
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in places:
            patch.setattr(owner, name, failing(name, getattr(owner, name)))
        yield seen
