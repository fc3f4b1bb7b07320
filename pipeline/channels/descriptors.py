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
"""What a pipe holds unless told otherwise (Linux, pipe(7)); assumed where it cannot be asked."""

PAGE_BYTES = 4096
"""A pipe consists of pages, and one of which a part was read takes the place of a whole one."""

_SPARE_TOTALS = 64
"""Room for totals that are repeated."""

MAX_SLOTS = ((1 << 20) - PAGE_BYTES) // TOTAL_BYTES - _SPARE_TOTALS
"""A pipe of 1 MiB, the most an ordinary user may ask for, holds a total for each of that many."""


@dataclass(frozen=True)
class ChannelDescriptors:
    """All descriptors of a new channel; whoever created it hands them out and closes them.

    Whoever keeps the ends of a process can give them to its successor; until they are closed, its
    neighbours do not notice that it is gone.  The producer takes ``memory``, ``back_read``,
    ``forward_write``; the consumer ``memory``, ``forward_read``, ``back_write``.  ``ahead`` is how
    many items the producer may be ahead of the consumer (:func:`most_ahead`).
    """

    memory: int
    forward_read: int
    forward_write: int
    back_read: int
    back_write: int
    ahead: int

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
        totals_bytes = (spec.slots + _SPARE_TOTALS) * TOTAL_BYTES + PAGE_BYTES
        for pipe in (forward_write, back_write):
            if totals_bytes > _pipe_bytes(pipe) and hasattr(fcntl, "F_SETPIPE_SZ"):
                with suppress(OSError):  # with a smaller one, less of the ring is used at a time
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, totals_bytes)
    except OSError as error:
        for descriptor in opened:
            os.close(descriptor)
        raise DeviceError(
            f"The channel from stage {spec.maker} to stage {spec.reader} could not be opened: "
            f"{error}; raise the limit of open files (ulimit -n), or use a smaller queue_size or "
            "fewer stages."
        ) from error
    ahead = most_ahead(spec.slots, forward_write, back_write)
    return ChannelDescriptors(memory, forward_read, forward_write, back_read, back_write, ahead)


def most_ahead(slots: int, *pipes: int) -> int:
    """How many items a producer may be ahead of its consumer: as many as there are slots, or totals
    that the pipes of the channel are sure to hold.

    So neither end ever waits for room in a pipe, where it would keep the other waiting.  An
    ordinary user who has more than some thousand pipes open is given small ones (pipe(7)).
    """
    held = min(map(_pipe_bytes, pipes)) - PAGE_BYTES
    return max(1, min(slots, held // TOTAL_BYTES - _SPARE_TOTALS))


def _pipe_bytes(pipe: int) -> int:
    if not hasattr(fcntl, "F_GETPIPE_SZ"):
        return PIPE_BYTES
    try:
        return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
    except OSError:  # not a pipe
        return PIPE_BYTES


def published_count(memory: int, spec: ChannelSpec) -> int:
    """How many items a ring says were published in all.

    Exact once the producer is dead; a glimpse, possibly one too few, while it lives.
    """
    headers = os.pread(memory, spec.slots * HEADER_BYTES, 0)
    return max(
        int.from_bytes(headers[start : start + SEQUENCE.size], "little")
        for start in range(SEQUENCE_OFFSET, len(headers), HEADER_BYTES)
    )
