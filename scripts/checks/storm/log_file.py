"""The log of a storm: a file on a disk that is full at times, of which every line is accounted."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections import Counter
from pathlib import Path

from pipeline import configure_logging

_TOOK = re.compile(r" took over .* after (\d+) ms")
_LOST = re.compile(rb"^(\d+) log lines were lost: ", re.MULTILINE)


class StormLog:
    """The log of this program and its devices, with the means to fill its disk.

    Filling puts ``/dev/full`` in the place of the file, where every write fails with ENOSPC, for
    as long as it takes; then the file again.
    """

    def __init__(self, path: Path) -> None:
        self.faults: Counter[str] = Counter()
        """By kind, those that devices said they had."""
        self.recoveries_ms: list[int] = []
        self._path = path
        self._handler = configure_logging(logging.INFO, file=path)
        self._handler.addFilter(self._see)
        self._handled = 0
        (self._descriptor,) = (
            int(entry)
            for entry in os.listdir("/proc/self/fd")
            if _target(entry) == str(path.resolve())
        )
        self._file = os.dup(self._descriptor)
        self._full = os.open("/dev/full", os.O_WRONLY)

    def fill_disk(self) -> None:
        """From now on nothing can be written."""
        os.dup2(self._full, self._descriptor, inheritable=False)
        logging.getLogger("storm").info("the disk of the log is full")

    def free_disk(self) -> None:
        """There is room again."""
        os.dup2(self._file, self._descriptor, inheritable=False)
        logging.getLogger("storm").info("the disk of the log has room")

    def balance(self) -> tuple[int, int, int]:
        """How many lines there were, were written, and were said to be lost."""
        text = self._path.read_bytes()
        lost = sum(int(count) for count in _LOST.findall(text))
        # A report of lost lines is a line of its own; so is the rest of an exception.
        written = len(re.findall(rb"^\d\d:\d\d:\d\d\.\d{3} ", text, re.MULTILINE))
        return self._handled, written, lost

    def start_anew(self, copy: Path | None = None) -> None:
        """Empty the file, with a copy if one is wanted.  Call it while nobody logs."""
        if copy is not None:
            copy.write_bytes(self._path.read_bytes())
        os.ftruncate(self._file, 0)
        self._handled = 0
        self.recoveries_ms = []
        self.faults.clear()

    def _see(self, record: logging.LogRecord) -> bool:
        self._handled += 1
        kind = getattr(record, "fault", None)
        if kind is not None:
            self.faults[kind] += 1
        took = _TOOK.search(record.getMessage())
        if took is not None:
            self.recoveries_ms.append(int(took[1]))
        return True


def _target(entry: str) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/self/fd/{entry}")
    return ""
