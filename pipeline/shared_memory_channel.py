"""A channel between two processes of one host: unnamed shared memory and two pipes.

::

    memory     header | tensor | tensor     header | tensor | tensor    ...  (one slot each)
    forward    how many items are published, in all    maker ──► reader
    back       how many may be published, in all       maker ◄── reader

The pipes are the synchronisation, the memory only carries bytes: a read from a pipe orders the
memory written before the matching write, on weakly ordered processors too.  A pipe is preferred
to a futex or an eventfd because all wake another core equally slowly and only the pipe reports
a dead peer, as end-of-file, once nobody else holds that end open: descriptors are not
inheritable, and whoever creates a channel keeps copies only as long as it may still replace the
end.  Nothing has a name, so nothing can be left behind.

What travels through the pipes are running totals of 8 bytes, the largest of which counts.  So an
end that takes the place of a dead one need not know what that one had read from its pipe.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
from contextlib import suppress

import numpy as np

from devices.device import Tensor
from pipeline.channel import (
    ERROR_BYTES,
    FLAG_SYNTHETIC,
    GENERATION_SHIFT,
    HEADER,
    HEADER_BYTES,
    RELEASED,
    RELEASED_OFFSET,
    SEQUENCE,
    SEQUENCE_OFFSET,
    ChannelSpec,
    Consumer,
    Failure,
    Item,
    Kind,
    Producer,
    Slot,
    SlotLayout,
    slot_views,
)
from pipeline.channel_descriptors import TOTAL_BYTES
from pipeline.errors import ChannelClosed, ChannelError, EndOfChannel, PeerDied
from pipeline.shared_memory import map_memory

READ_BYTES = 4096
"""How much of a pipe is read at once: 512 totals."""

_END_BIT = 1 << 63
"""Set in the total of a producer that has ended: larger than all it said before."""

_from_bytes = int.from_bytes
_DATA, _ERROR = int(Kind.DATA), int(Kind.ERROR)


class _MappedSlot(Slot):
    __slots__ = ("_mapping", "_released_at", "start", "tensors")

    def __init__(self, mapping: mmap.mmap, start: int, views: dict[str, Tensor]) -> None:
        self.tensors = views
        self.start = start
        self._mapping = mapping
        self._released_at = start + RELEASED_OFFSET

    @property
    def released_ns(self) -> int:
        released: int = RELEASED.unpack_from(self._mapping, self._released_at)[0]
        return released


class _Endpoint:
    """What both ends share: the mapped ring and waiting on one pipe."""

    def __init__(
        self, spec: ChannelSpec, memory: int, read: int, write: int, *, writeable: bool
    ) -> None:
        self.spec = spec
        layout = SlotLayout.of(spec.tensors)
        try:
            self._mapping = map_memory(memory, layout.stride_bytes * spec.slots)
        except BaseException:
            os.close(read)
            os.close(write)
            raise
        finally:
            os.close(memory)
        memory_bytes = np.frombuffer(self._mapping, np.uint8)
        self._slots = [
            _MappedSlot(
                self._mapping,
                start,
                slot_views(spec, layout, memory_bytes, start, writeable=writeable),
            )
            for start in range(0, layout.stride_bytes * spec.slots, layout.stride_bytes)
        ]
        self._read = read
        self._write = write
        self._poll = select.poll()
        self._poll.register(read, select.POLLIN)
        self._closed = False

    def fileno(self) -> int:
        """The pipe this end waits on, for ``select.poll``."""
        self._check_open()
        return self._read

    def _readable(self, timeout: float | None) -> bool:
        return bool(self._poll.poll(None if timeout is None else max(0.0, timeout) * 1000))

    def _item_at(self, position: int) -> Item:
        """What the slot of item ``position`` of this channel holds."""
        slot = self._slots[position % self.spec.slots]
        item_id, ready_ns, entry_ns, kind, flags, origin, length, sequence = HEADER.unpack_from(
            self._mapping, slot.start
        )
        if sequence != position + 1:
            raise ChannelError(
                f"The slot of item {position} of the channel {self._name} holds item "
                f"{sequence - 1}: the memory was overwritten."
            )
        failure = None
        if kind == _ERROR:
            start = slot.start + HEADER_BYTES
            text = self._mapping[start : start + min(length, ERROR_BYTES)]
            failure = Failure(origin, text.decode(errors="ignore"), flags >> GENERATION_SHIFT)
        return Item(
            item_id, ready_ns, entry_ns, bool(flags & FLAG_SYNTHETIC), slot.tensors, failure
        )

    def _totals(self) -> int | None:
        """The largest total waiting in the pipe; ``None`` if the peer is gone."""
        data = os.read(self._read, READ_BYTES)
        if len(data) == TOTAL_BYTES:
            return _from_bytes(data, "little")
        if not data:
            return None
        return int(max(struct.unpack(f"<{len(data) // TOTAL_BYTES}Q", data)))

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
        self._slots.clear()
        # An array someone still holds keeps the mapping; it goes with the last of them.
        with suppress(BufferError):
            self._mapping.close()
        os.close(self._read)
        os.close(self._write)


class SharedMemoryProducer(_Endpoint, Producer):
    """The writing end; owns the three descriptors it is given."""

    def __init__(self, spec: ChannelSpec, memory: int, back_read: int, forward_write: int) -> None:
        super().__init__(spec, memory, back_read, forward_write, writeable=True)
        self._credited = 0
        self._payload_bytes = sum(tensor.size_bytes for tensor in spec.tensors)
        self._ended = False
        self.committed = 0

    @property
    def credited(self) -> int:
        return self._credited

    def free(self) -> int:
        self._check_open()
        if self._readable(0):
            self._take_credits()
        return self._credited - self.committed

    def reserve(self, timeout: float | None = None) -> Slot:
        self._check_open()
        while self._credited == self.committed:
            if timeout is not None and not self._readable(timeout):
                raise TimeoutError(f"No slot of the channel {self._name} became free in time.")
            self._take_credits()
        return self._slots[self.committed % self.spec.slots]

    def commit(
        self, item_id: int, *, ready_ns: int, entry_ns: int, synthetic: bool = False
    ) -> None:
        start, position = self._reserved()
        HEADER.pack_into(
            self._mapping,
            start,
            item_id,
            ready_ns,
            entry_ns,
            _DATA,
            FLAG_SYNTHETIC if synthetic else 0,
            0,
            self._payload_bytes,
            position,
        )
        self.committed = position  # not before: another thread may announce it
        self._send(position)

    def fail(self, item_id: int, failure: Failure, *, ready_ns: int, entry_ns: int) -> None:
        start, position = self._reserved()
        text = failure.encode()
        self._mapping[start + HEADER_BYTES : start + HEADER_BYTES + len(text)] = text
        flags = failure.generation << GENERATION_SHIFT
        HEADER.pack_into(
            self._mapping,
            start,
            item_id,
            ready_ns,
            entry_ns,
            _ERROR,
            flags,
            failure.segment,
            len(text),
            position,
        )
        self.committed = position
        self._send(position)

    def end(self) -> None:
        self._check_open()
        self._ended = True
        self._send(self.committed | _END_BIT)

    def resume(self) -> int:
        self._check_open()
        sequences = [
            SEQUENCE.unpack_from(self._mapping, slot.start + SEQUENCE_OFFSET)[0]
            for slot in self._slots
        ]
        self.committed = self._credited = max(sequences)  # until the reader says more
        return self.committed

    def published(self) -> Item | None:
        self._check_open()
        return self._item_at(self.committed - 1) if self.committed else None

    def announce(self) -> None:
        with suppress(PeerDied):  # then there is nobody to tell
            self._send(self.committed | (_END_BIT if self._ended else 0))

    def _reserved(self) -> tuple[int, int]:
        """Where the reserved slot starts, and the number of items once it is published."""
        self._check_open()
        committed = self.committed
        if self._credited == committed:
            raise ChannelError(f"Nothing is reserved in the channel {self._name}.")
        return self._slots[committed % self.spec.slots].start, committed + 1

    def _send(self, total: int) -> None:
        try:
            os.write(self._write, total.to_bytes(TOTAL_BYTES, "little"))
        except BrokenPipeError:
            raise self._reader_gone() from None

    def _take_credits(self) -> None:
        granted = self._totals()
        if granted is not None:
            if granted > self._credited:
                self._credited = granted
        elif self._credited == self.committed:  # else who needs more will find the peer gone
            raise self._reader_gone()

    def _reader_gone(self) -> PeerDied:
        return PeerDied(
            f"Stage {self.spec.reader} is gone: it no longer takes items from stage "
            f"{self.spec.maker}.",
            stage=self.spec.reader,
        )


class SharedMemoryConsumer(_Endpoint, Consumer):
    """The reading end; owns the three descriptors it is given."""

    def __init__(self, spec: ChannelSpec, memory: int, forward_read: int, back_write: int) -> None:
        super().__init__(spec, memory, forward_read, back_write, writeable=False)
        self._available = 0
        self._granted = 0
        self._received = 0
        self._retired = 0
        self._ended = False
        self._orphaned = False

    def grant(self, credits: int) -> None:
        self._check_open()
        if not 0 <= credits <= self.spec.slots + self._retired - self._granted:
            raise ValueError(
                f"{credits} more credits would promise slots of the channel {self._name} "
                "that are not free."
            )
        if credits:
            self._granted += credits
            self.regrant()

    def regrant(self) -> None:
        # If the producer is gone, what it published is still there to read.
        try:  # noqa: SIM105  (this is done for every item, and suppress() costs 0.4 us)
            os.write(self._write, self._granted.to_bytes(TOTAL_BYTES, "little"))
        except BrokenPipeError:
            pass

    def resume(self, position: int, released_ns: int) -> None:
        self._check_open()
        self._available = self._received = self._granted = self._retired = position
        if position:
            start = self._slots[(position - 1) % self.spec.slots].start
            RELEASED.pack_into(self._mapping, start + RELEASED_OFFSET, released_ns)

    @property
    def pending(self) -> bool:
        """What :meth:`poll` would say without looking into the pipe."""
        return self._available > self._received or self._ended or self._orphaned

    def poll(self) -> bool:
        self._check_open()
        if not self.pending and self._readable(0):
            self._take_totals()
        return self.pending

    def receive(self, timeout: float | None = None) -> Item:
        self._check_open()
        while self._available == self._received:
            if self._ended:
                raise EndOfChannel(f"The channel {self._name} ended after {self._received} items.")
            if self._orphaned:
                raise PeerDied(
                    f"Stage {self.spec.maker} is gone: it stopped sending to stage "
                    f"{self.spec.reader} after {self._received} items without ending.",
                    stage=self.spec.maker,
                )
            if timeout is not None and not self._readable(timeout):
                raise TimeoutError(f"Nothing arrived through the channel {self._name} in time.")
            self._take_totals()
        item = self._item_at(self._received)
        self._received += 1
        return item

    def retire(self, released_ns: int) -> None:
        self._check_open()
        if self._retired == self._received:
            raise ChannelError(f"No item of the channel {self._name} is left to release.")
        start = self._slots[self._retired % self.spec.slots].start
        RELEASED.pack_into(self._mapping, start + RELEASED_OFFSET, released_ns)
        self._retired += 1

    def _take_totals(self) -> None:
        total = self._totals()
        if total is None:
            self._orphaned = True
            return
        if total & _END_BIT:
            self._ended = True
            total ^= _END_BIT
        if total > self._available:
            self._available = total
