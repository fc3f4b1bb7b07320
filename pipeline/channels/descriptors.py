"""What a channel between two processes consists of for the operating system."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass

from devices.errors import ConfigError, DeviceError
from pipeline.channels.contract import (
    HEADER_BYTES,
    SEQUENCE,
    SEQUENCE_OFFSET,
    ChannelSpec,
    SlotLayout,
)
from pipeline.channels.memory import unnamed_memory

TOTAL_BYTES = 8
"""Size of what travels through the pipes; written whole, because it is below PIPE_BUF."""

PIPE_BYTES = 65536
"""What a pipe holds unless told otherwise (Linux, pipe(7))."""

MAX_SLOTS = (1 << 20) // TOTAL_BYTES - 64
"""A pipe of 1 MiB, the most an ordinary user may ask for, holds a total for each of that many."""


@dataclass(frozen=True)
class ChannelDescriptors:
    """All descriptors of a new channel; whoever created it hands them out and closes them.

    Whoever keeps the ends of a process can give them to its successor; until they are closed, its
    neighbours do not notice that it is gone.  The producer takes ``memory``, ``back_read``,
    ``forward_write``; the consumer ``memory``, ``forward_read``, ``back_write``.
    """

    memory: int
    forward_read: int
    forward_write: int
    back_read: int
    back_write: int

    @property
    def producer(self) -> tuple[int, int, int]:
        """What :class:`SharedMemoryProducer` needs, in its order."""
        return self.memory, self.back_read, self.forward_write

    @property
    def consumer(self) -> tuple[int, int, int]:
        """What :class:`SharedMemoryConsumer` needs, in its order."""
        return self.memory, self.forward_read, self.back_write


def create_channel(spec: ChannelSpec) -> ChannelDescriptors:
    """Make the memory and the pipes of a channel.

    Raises :class:`~devices.errors.ConfigError` if the ring is longer than a pipe can announce, and
    ``DeviceError`` if the system gives no more descriptors or memory.
    """
    if not 1 <= spec.slots <= MAX_SLOTS:
        raise ConfigError(
            f"The queue from stage {spec.maker} to stage {spec.reader} would need {spec.slots} "
            f"slots, but 1 to {MAX_SLOTS} are possible; choose a smaller queue_size."
        )
    opened: list[int] = []
    try:
        opened.append(unnamed_memory(SlotLayout.of(spec.tensors).ring_bytes(spec.slots)))
        opened.extend(os.pipe())
        opened.extend(os.pipe())
        memory, forward_read, forward_write, back_read, back_write = opened
        totals_bytes = (spec.slots + 64) * TOTAL_BYTES
        if totals_bytes > PIPE_BYTES and hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(PermissionError):  # a smaller pipe is right too, only blocks earlier
                fcntl.fcntl(forward_write, fcntl.F_SETPIPE_SZ, totals_bytes)
                fcntl.fcntl(back_write, fcntl.F_SETPIPE_SZ, totals_bytes)
    except OSError as error:
        for descriptor in opened:
            os.close(descriptor)
        raise DeviceError(
            f"The channel from stage {spec.maker} to stage {spec.reader} could not be opened: "
            f"{error}; raise the limit of open files (ulimit -n), or use a smaller queue_size or "
            "fewer stages."
        ) from error
    return ChannelDescriptors(memory, forward_read, forward_write, back_read, back_write)


def published_count(memory: int, spec: ChannelSpec) -> int:
    """How many items a ring says were published in all.

    Exact once the producer is dead; a glimpse, possibly one too few, while it lives.
    """
    headers = os.pread(memory, spec.slots * HEADER_BYTES, 0)
    return max(
        int.from_bytes(headers[start : start + SEQUENCE.size], "little")
        for start in range(SEQUENCE_OFFSET, len(headers), HEADER_BYTES)
    )
