"""What a transport leaves behind: processes, names in /dev/shm, files in its directory.

Every trial is started with a mark in its environment, which its descendants inherit however they
were started, so they can be told from everybody else's.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "TRANSPORT_BENCHMARK_TRIAL"
"""The environment variable; its value is the trial's directory."""

_SHARED_MEMORY = Path("/dev/shm")
_GRACE_S = 10.0
_POLL_S = 0.02


@dataclass(frozen=True)
class Leftovers:
    """Counts of what was still there after a trial; all of it has been removed since."""

    processes: int = 0
    shared_memory: int = 0
    files: int = 0

    def __str__(self) -> str:
        parts = [
            f"{count} {what}"
            for count, what in (
                (self.processes, "processes"),
                (self.shared_memory, "names in /dev/shm"),
                (self.files, "files"),
            )
            if count
        ]
        return ", ".join(parts) or "nothing"

    @property
    def total(self) -> int:
        """Of all kinds."""
        return self.processes + self.shared_memory + self.files


def shared_memory_names() -> frozenset[str]:
    """What has a name in /dev/shm now."""
    try:
        return frozenset(entry.name for entry in _SHARED_MEMORY.iterdir())
    except OSError:
        return frozenset()


def marked_processes(mark: str) -> list[psutil.Process]:
    """Living processes started by the trial with this mark."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def clean_up(directory: Path, known_names: frozenset[str], own_files: frozenset[str]) -> Leftovers:
    """Count and remove what a trial that has ended left behind.

    Processes get a moment to end by themselves.  A name in /dev/shm counts if it is new since
    ``known_names`` and no living process uses it.
    """
    deadline = time.monotonic() + _GRACE_S
    while (processes := marked_processes(str(directory))) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    kill(processes)
    names = [name for name in shared_memory_names() - known_names if not _in_use(name)]
    for name in names:
        with suppress(OSError):
            (_SHARED_MEMORY / name).unlink()
    files = [
        path
        for path in directory.rglob("*")
        if not path.is_dir() and str(path.relative_to(directory)) not in own_files
    ]
    return Leftovers(len(processes), len(names), len(files))


def kill(processes: list[psutil.Process]) -> None:
    """End exactly these, and wait until they are gone."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=_GRACE_S)


def _in_use(name: str) -> bool:
    """Whether somebody maps or holds open this name; it is not ours to judge then."""
    path = str(_SHARED_MEMORY / name)
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if path in Path(f"/proc/{process.pid}/maps").read_text():
                return True
            for entry in os.scandir(f"/proc/{process.pid}/fd"):
                with suppress(OSError):
                    if os.readlink(entry.path) == path:
                        return True
    return False
