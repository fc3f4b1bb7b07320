"""What ``/proc`` tells of processes; of those of other users next to nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
_SHOWN_CHARACTERS = 60
_KEEPER = b"devices.libedgetpu.keeper"
"""Is in the command line of a process that keeps devices for another, whose id is the last word."""


def open_files(proc: Path = PROC) -> Iterator[tuple[int, Path, str]]:
    """Process, descriptor and what it leads to, of all that this user may look at."""
    for entry in _listed(proc):
        if not entry.isdigit():
            continue
        folder = proc / entry / "fd"
        for descriptor in _listed(folder):
            try:
                target = os.readlink(folder / descriptor)
            except OSError:  # closed since
                continue
            yield int(entry), folder / descriptor, target


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # another user's, ended since, or no such system
        return []


def program_of(pid: int | None, proc: Path = PROC) -> str | None:
    """The command line of a process, shortened; ``None`` if it cannot be read.

    For one that keeps the devices of a program which uses ``libedgetpu.so.1``, that of the program.
    """
    if not pid:
        return None
    try:
        content = (proc / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    words = [word for word in content.split(b"\0") if word]
    if _KEEPER in content and words[-1].isdigit() and int(words[-1]) != pid:
        return program_of(int(words[-1]), proc)
    text = " ".join(word.decode(errors="replace") for word in words)
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


def is_stopped(pid: int, proc: Path = PROC) -> bool:
    """Whether a signal or a debugger holds the process (proc(5), state T or t)."""
    try:
        text = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[:1] in (["T"], ["t"])
