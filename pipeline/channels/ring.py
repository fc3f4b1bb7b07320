"""The ring of a channel between two processes, as both of its ends see it.

::

    headers    | item 0 | item 1 | item 2 | item 0 + slots | ...       in turn, 64 bytes each
    blocks     | tensors | tensors | tensors |                         whichever is free

An item's header lies at its number modulo the slots and says in which block its tensors are.
"""

from __future__ import annotations

import mmap
import os
import select
from contextlib import suppress

import numpy as np

from pipeline.channels.contract import (
    ERROR_BYTES,
    FLAG_ERROR,
    FLAG_SYNTHETIC,
    GENERATION_SHIFT,
    HEADER,
    HEADER_BYTES,
    RELEASED_OFFSET,
    ChannelSpec,
    Failure,
    Item,
    SlotLayout,
    block_views,
)
from pipeline.channels.descriptors import TOTAL_BYTES, most_ahead
from pipeline.channels.memory import map_memory
from pipeline.errors import ChannelClosed, ChannelError

READ_BYTES = 4096
"""How much of a pipe is read at once: 512 totals."""

HEADER_WORDS = HEADER_BYTES // 8
RELEASED_WORD = RELEASED_OFFSET // 8

_unpack_header = HEADER.unpack_from


class RingEnd:
    """What both ends share: the mapped ring, and waiting on one pipe."""

    def __init__(
        self, spec: ChannelSpec, memory: int, read: int, write: int, *, writeable: bool
    ) -> None:
        self.spec = spec
        layout = SlotLayout.of(spec.tensors)
        try:
            self._mapping: mmap.mmap = map_memory(memory, layout.ring_bytes(spec.slots))
        except BaseException:
            os.close(read)
            os.close(write)
            raise
        finally:
            os.close(memory)
        self._count = spec.slots
        self.ahead = most_ahead(spec.slots, read, write)
        """How many items the producer may be ahead of the consumer."""
        self._first_block = spec.slots * HEADER_BYTES
        self._stride = layout.stride_bytes
        self._words = memoryview(self._mapping)[: self._first_block].cast("q")
        memory_bytes = np.frombuffer(self._mapping, np.uint8)
        self._views = [
            block_views(spec, layout, memory_bytes, self._block_start(block), writeable=writeable)
            for block in range(spec.slots)
        ]
        self._read = read
        self._write = write
        # Memory that stays: what is in it is not forgotten if a signal handler raises after a read.
        self._inbox = [bytearray(READ_BYTES)]
        self._inbox_totals = memoryview(self._inbox[0]).cast("Q")
        self._poll = select.poll()
        self._poll.register(read, select.POLLIN)
        self._closed = False

    def fileno(self) -> int:
        """The pipe this end waits on, for ``select.poll``."""
        self._check_open()
        return self._read

    def _readable(self, timeout: float | None) -> bool:
        return bool(self._poll.poll(None if timeout is None else max(0.0, timeout) * 1000))

    def _block_start(self, block: int) -> int:
        return self._first_block + block * self._stride

    def _item_at(self, position: int) -> Item:
        """Item ``position`` of this channel."""
        item_id, ready_ns, entry_ns, block, flags, origin, length, sequence = _unpack_header(
            self._mapping, position % self._count * HEADER_BYTES
        )
        if sequence != position + 1 or block >= self._count:
            raise ChannelError(
                f"The slot of item {position} of the channel {self._name} holds item "
                f"{sequence - 1} in block {block}: the memory was overwritten."
            )
        failure = None
        if flags & FLAG_ERROR:
            start = self._block_start(block)
            text = self._mapping[start : start + min(length, ERROR_BYTES)]
            failure = Failure(origin, text.decode(errors="ignore"), flags >> GENERATION_SHIFT)
        return Item(
            item_id, ready_ns, entry_ns, flags & FLAG_SYNTHETIC != 0, self._views[block], failure
        )

    def _largest(self, size_bytes: int) -> int:
        """The largest of the totals read last, or of all that are still in the inbox."""
        return max(self._inbox_totals[: size_bytes // TOTAL_BYTES])

    def _check_open(self) -> None:
        if self._closed:
            raise ChannelClosed(f"This end of the channel {self._name} was closed already.")

    @property
    def _name(self) -> str:
        return f"from stage {self.spec.maker} to stage {self.spec.reader}"

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._words.release()
        self._views.clear()
        # An array someone still holds keeps the mapping; it goes with the last of them.
        with suppress(BufferError):
            self._mapping.close()
        os.close(self._read)
        os.close(self._write)
