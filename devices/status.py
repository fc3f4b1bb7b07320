"""What a device's process shows of itself to whoever looks: a page of unnamed shared memory.

``lstpu`` finds the pages of running devices in ``/proc``, by the name of the memory
(:mod:`devices.listing`).  So nothing is written to a disk and nothing can be left behind: the page
goes with the process, however that ends.  Only processes of the same user, and root, can open it.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
from dataclasses import dataclass
from typing import Any

NAME = "edgetpu-status"
"""Of the memory file (memfd_create), and so of its link in /proc/PID/fd."""

_MAGIC = b"EdgeTPU1"
_PAGE_BYTES = 4096
_HEAD = struct.Struct("<8sI")
_WORDS_OFFSET = 2048
_WORKING, _INFERENCES, _BUSY, _AGE, _CHIP = range(5)
_CHIP_FIGURES = struct.Struct("<qqQqq")
_WORDS = struct.Struct("<qqqq")
_CHIP_OFFSET = _WORDS_OFFSET + 8 * _CHIP
_NO_TEMPERATURE = -(2**62)


@dataclass(frozen=True)
class ShownStatus:
    """What a page says: what it is of, and its figures at one moment.

    ``busy_ns`` of ``age_ns`` it was busy, on its own clock from its first inference to the end of
    its last, which began at ``began_ns`` of this machine's monotonic clock and is ``working`` still
    or not.  ``celsius`` is ``None`` where there is no temperature.
    """

    description: dict[str, Any]
    working: bool
    began_ns: int
    inferences: int
    busy_ns: int
    age_ns: int
    clock_mhz: int
    celsius: float | None
    caching_token: int
    cached_bytes: int
    loaded: int


class StatusPage:
    """The page, in the process that owns it, for as long as that lives.

    Where the system has no memory files it is memory that nobody else sees.  What is said at every
    inference are single words, because that costs next to nothing.
    """

    def __init__(self, program_pid: int = 0) -> None:
        """``program_pid`` is the program that the device belongs to.  Raises ``OSError``."""
        self._program_pid = program_pid
        memory = os.memfd_create(NAME) if hasattr(os, "memfd_create") else -1
        try:
            if memory >= 0:
                os.ftruncate(memory, _PAGE_BYTES)
            # It keeps a descriptor of its own open, which is what others find the page by.
            self._mapping = mmap.mmap(memory, _PAGE_BYTES)
        finally:
            if memory >= 0:
                os.close(memory)
        self._words = memoryview(self._mapping)[_WORDS_OFFSET:_CHIP_OFFSET].cast("q")

    def describe(self, **what: Any) -> None:
        """Say what does not change, and that the page can be read from now on.

        As JSON it may have some 2,000 bytes.
        """
        text = json.dumps({**what, "program_pid": self._program_pid}).encode()
        text = text[: _WORDS_OFFSET - _HEAD.size]
        self._mapping[_HEAD.size : _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._mapping, 0, _MAGIC, len(text))

    def begin(self) -> None:
        """Say that an inference is in work."""
        self._words[_WORKING] = time.monotonic_ns()

    def end(self, inferences: int, busy_ns: int, age_ns: int) -> None:
        """Say that none is in work now, and what all of them amount to."""
        words = self._words
        words[_INFERENCES] = inferences
        words[_BUSY] = busy_ns
        words[_AGE] = age_ns
        words[_WORKING] = -words[_WORKING]

    def show_chip(
        self,
        clock_mhz: int,
        celsius: float | None,
        caching_token: int,
        cached_bytes: int,
        loaded: int,
    ) -> None:
        """Say what changes less often."""
        millicelsius = _NO_TEMPERATURE if celsius is None else round(celsius * 1000)
        _CHIP_FIGURES.pack_into(
            self._mapping,
            _CHIP_OFFSET,
            clock_mhz,
            millicelsius,
            caching_token,
            cached_bytes,
            loaded,
        )


def read_status(memory: int) -> ShownStatus | None:
    """Read a page by its descriptor; ``None`` if it is none, or cannot be read yet.

    Raises ``OSError``.  A figure may be an inference ahead of another.
    """
    content = os.pread(memory, _PAGE_BYTES, 0)
    if len(content) < _PAGE_BYTES or not content.startswith(_MAGIC):
        return None
    _, length = _HEAD.unpack_from(content)
    try:
        description = json.loads(content[_HEAD.size : _HEAD.size + length])
    except ValueError:
        return None
    working_ns, inferences, busy_ns, age_ns = _WORDS.unpack_from(content, _WORDS_OFFSET)
    clock_mhz, millicelsius, token, cached_bytes, loaded = _CHIP_FIGURES.unpack_from(
        content, _CHIP_OFFSET
    )
    return ShownStatus(
        description=description,
        working=working_ns > 0,
        began_ns=abs(working_ns),
        inferences=inferences,
        busy_ns=busy_ns,
        age_ns=age_ns,
        clock_mhz=clock_mhz,
        celsius=None if millicelsius == _NO_TEMPERATURE else millicelsius / 1000,
        caching_token=token,
        cached_bytes=cached_bytes,
        loaded=loaded,
    )
