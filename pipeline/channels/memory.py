"""Memory that processes share by descriptor: it has no name, so it cannot be left behind."""

from __future__ import annotations

import mmap
import os
import tempfile


def unnamed_memory(size_bytes: int) -> int:
    """A descriptor of zero-filled memory without a name, gone with its last user."""
    if hasattr(os, "memfd_create"):
        memory = os.memfd_create("edgetpu-pipeline")
    else:
        with tempfile.TemporaryFile() as file:
            memory = os.dup(file.fileno())
    try:
        os.ftruncate(memory, size_bytes)
    except BaseException:
        os.close(memory)
        raise
    return memory


def map_memory(memory: int, size_bytes: int) -> mmap.mmap:
    """Map the memory and touch every page: a first touch costs more than copying the page."""
    populate = getattr(mmap, "MAP_POPULATE", 0)
    mapping = mmap.mmap(memory, size_bytes, flags=mmap.MAP_SHARED | populate)
    if not populate:
        for offset in range(0, size_bytes, mmap.PAGESIZE):
            mapping[offset]
    return mapping
