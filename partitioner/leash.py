"""A program on a leash: all that it started ends with it, and it when standard input does.

    python -I -S leash.py PROGRAM ARGUMENT...

Whoever runs this holds the other end, and lets go of it at the latest when it is killed itself.
PR_SET_PDEATHSIG, by which device processes go with their host, reaches a program, but nothing that
the program starts.  So this process stays to end that, too, and on Linux takes in all whose parents
are gone: nothing is out of reach, and no zombie remains.  What a program leaves behind when it ends
would hold its output open, so that whoever reads that would wait for it.

It is started for every segment, so it imports little.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36

_CANNOT_RUN = 126
"""What shells, too, report of a program that is there and cannot be run."""


def main(command: list[str]) -> NoReturn:
    """Run it; ends as it does."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    program = os.fork()
    if not program:
        _become(command)

    def watch() -> None:
        os.read(0, 1)
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.killpg(program, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    _end_children()
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


def _become(command: list[str]) -> NoReturn:
    """Run a program in place of this process, as the leader of a session."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        os.execv(command[0], command)
    except OSError as error:
        print(error.strerror, file=sys.stderr, flush=True)
    os._exit(_CANNOT_RUN)


def _end_children() -> None:
    """Until there are none: whoever's parent is killed becomes a child of this process."""
    while children := _children():
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


def _children() -> list[int]:
    if sys.platform != "linux":
        return []
    found: list[int] = []
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/children") as file:
            found += map(int, file.read().split())
    return found


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
