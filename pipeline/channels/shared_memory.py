"""A channel between two processes of one host: unnamed shared memory and two pipes.

::

    memory     the ring: a header and a block of tensors for each slot
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

import os
from collections import deque
from contextlib import suppress
from typing import NoReturn

from pipeline.channels.contract import (
    FLAG_ERROR,
    FLAG_SYNTHETIC,
    GENERATION_SHIFT,
    HEADER,
    HEADER_BYTES,
    SEQUENCE,
    SEQUENCE_OFFSET,
    ChannelSpec,
    Consumer,
    Failure,
    Item,
    Producer,
    Slot,
)
from pipeline.channels.descriptors import TOTAL_BYTES
from pipeline.channels.ring import HEADER_WORDS, RELEASED_WORD, RingEnd
from pipeline.errors import ChannelError, EndOfChannel, PeerDied

CACHED_BYTES = 64 << 10
"""From this size on, the block that became free last is used next: it is still in the cache.

For smaller tensors, looking for freed blocks before every item costs more than it gains.
"""

_END_BIT = 1 << 63
"""Set in the total of a producer that has ended: larger than all it said before."""

_pack_header = HEADER.pack_into


class SharedMemoryProducer(RingEnd, Producer):
    """The writing end; owns the three descriptors it is given."""

    def __init__(self, spec: ChannelSpec, memory: int, back_read: int, forward_write: int) -> None:
        super().__init__(spec, memory, back_read, forward_write, writeable=True)
        self.committed = 0
        self._credited = 0
        self._payload_bytes = sum(tensor.size_bytes for tensor in spec.tensors)
        self._picky = spec.slots > 1 and self._payload_bytes >= CACHED_BYTES
        self._slots = [Slot(views) for views in self._views]
        self._free = list(range(spec.slots))[::-1]  # the last one is used next
        self._used: deque[int] = deque()  # blocks of published items not known to be released
        self._reserved = -1
        self._lost_track = False
        self._ended = False

    @property
    def credited(self) -> int:
        return self._credited

    def free(self) -> int:
        self._check_open()
        if self._readable(0):
            self._take_credits()
        return self._credited - self.committed

    def reserve(self, timeout: float | None = None) -> Slot:
        block = self._reserved
        if block < 0:
            committed = self.committed
            if self._credited == committed:
                self._await_credit(timeout)
            elif self._picky and self._readable(0):
                self._take_credits()
            block = self._reserved = self._free.pop()
            self._slots[block].released_ns = self._words[
                committed % self._count * HEADER_WORDS + RELEASED_WORD
            ]
        return self._slots[block]

    def commit(
        self, item_id: int, *, ready_ns: int, entry_ns: int, synthetic: bool = False
    ) -> None:
        flags = FLAG_SYNTHETIC if synthetic else 0
        self._publish(item_id, ready_ns, entry_ns, flags, 0, self._payload_bytes)

    def fail(self, item_id: int, failure: Failure, *, ready_ns: int, entry_ns: int) -> None:
        self._check_reserved()
        text = failure.encode()
        start = self._block_start(self._reserved)
        self._mapping[start : start + len(text)] = text
        flags = FLAG_ERROR | failure.generation << GENERATION_SHIFT
        self._publish(item_id, ready_ns, entry_ns, flags, failure.segment, len(text))

    def end(self) -> None:
        self._check_open()
        self._ended = True
        self._send(self.committed | _END_BIT)

    def resume(self) -> int:
        self._check_open()
        sequences = [
            SEQUENCE.unpack_from(self._mapping, start + SEQUENCE_OFFSET)[0]
            for start in range(0, self._first_block, HEADER_BYTES)
        ]
        self.committed = self._credited = max(sequences)  # until the reader says more
        self._free, self._reserved = [], -1
        self._lost_track = True
        return self.committed

    def published(self) -> Item | None:
        self._check_open()
        return self._item_at(self.committed - 1) if self.committed else None

    def announce(self) -> None:
        with suppress(PeerDied):  # then there is nobody to tell
            self._send(self.committed | (_END_BIT if self._ended else 0))

    def close(self) -> None:
        self._credited, self._reserved = self.committed, -1  # so that every method looks twice
        self._slots.clear()
        super().close()

    def _publish(
        self, item_id: int, ready_ns: int, entry_ns: int, flags: int, origin: int, length: int
    ) -> None:
        block, committed = self._reserved, self.committed
        if block < 0:
            self._check_reserved()
        total = committed + 1
        _pack_header(
            self._mapping,
            committed % self._count * HEADER_BYTES,
            item_id,
            ready_ns,
            entry_ns,
            block,
            flags,
            origin,
            length,
            total,
        )
        self._used.append(block)
        self._reserved = -1
        self.committed = total  # not before: another thread may announce it
        self._send(total)

    def _check_reserved(self) -> None:
        self._check_open()
        if self._reserved < 0:
            raise ChannelError(f"Nothing is reserved in the channel {self._name}.")

    def _free_blocks(self, granted: int) -> None:
        """Items are released in order, and no credit is given before a slot is free."""
        first = max(0, granted - self.ahead)
        if self._lost_track:
            # Only now it is known which items of a predecessor still need their blocks; headers
            # of earlier ones may name a block that was used again, and one may be torn.
            self._lost_track = False
            self._used = deque(
                HEADER.unpack_from(self._mapping, position % self._count * HEADER_BYTES)[3]
                for position in range(first, self.committed)
            )
            self._free = sorted(set(range(self._count)).difference(self._used), reverse=True)
        while len(self._used) > self.committed - first:
            self._free.append(self._used.popleft())

    def _send(self, total: int) -> None:
        try:
            os.write(self._write, total.to_bytes(TOTAL_BYTES, "little"))
        except BrokenPipeError:
            raise self._reader_gone() from None

    def _await_credit(self, timeout: float | None) -> None:
        self._check_open()
        while self._credited == self.committed:
            if timeout is not None and not self._readable(timeout):
                raise TimeoutError(f"No slot of the channel {self._name} became free in time.")
            self._take_credits()

    def _take_credits(self) -> None:
        count = os.readv(self._read, self._inbox)
        if count:
            granted = self._inbox_totals[0] if count == TOTAL_BYTES else self._largest(count)
            if granted > self._credited:
                self._credited = granted
                self._free_blocks(granted)
        elif self._credited == self.committed:  # else who needs more will find the peer gone
            raise self._reader_gone()

    def _reader_gone(self) -> PeerDied:
        return PeerDied(
            f"Stage {self.spec.reader} is gone: it no longer takes items from stage "
            f"{self.spec.maker}.",
            stage=self.spec.reader,
        )


class SharedMemoryConsumer(RingEnd, Consumer):
    """The reading end; owns the three descriptors it is given."""

    def __init__(self, spec: ChannelSpec, memory: int, forward_read: int, back_write: int) -> None:
        super().__init__(spec, memory, forward_read, back_write, writeable=False)
        self._available = 0
        self._granted = 0
        self._received = 0
        self._retired = 0
        self._ended = False
        self._over = False  # nothing will come through the pipe any more

    def grant(self, credits: int) -> None:
        self._check_open()
        if not 0 <= credits <= self._count + self._retired - self._granted:
            raise ValueError(
                f"{credits} more credits would promise slots of the channel {self._name} "
                "that are not free."
            )
        granted = min(self._granted + credits, self._retired + self.ahead)
        if granted > self._granted:
            self._granted = granted
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
            self._words[(position - 1) % self._count * HEADER_WORDS + RELEASED_WORD] = released_ns

    @property
    def granted(self) -> int:
        """Credits given so far."""
        return self._granted

    @property
    def pending(self) -> bool:
        """What :meth:`poll` would say without looking into the pipe."""
        return self._available > self._received or self._over

    def poll(self) -> bool:
        self._check_open()
        if not self.pending and self._readable(0):
            self._take_totals()
        return self.pending

    def receive(self, timeout: float | None = None) -> Item:
        position = self._received
        if self._available == position:
            self._await_item(timeout)
        item = self._item_at(position)
        self._received = position + 1
        return item

    def retire(self, released_ns: int) -> None:
        retired = self._retired
        if retired == self._received:
            self._check_open()
            raise ChannelError(f"No item of the channel {self._name} is left to release.")
        self._words[retired % self._count * HEADER_WORDS + RELEASED_WORD] = released_ns
        self._retired = retired + 1

    def release(self, released_ns: int) -> None:
        self.retire(released_ns)
        self._granted += 1  # a slot is free: it was just retired
        self.regrant()

    def close(self) -> None:
        self._available = self._retired = self._received  # so that every method looks twice
        self._over = True
        super().close()

    def _await_item(self, timeout: float | None) -> None:
        position = self._received
        while self._available == position:
            if self._over:
                self._say_why(position)
            if timeout is not None and not self._readable(timeout):
                raise TimeoutError(f"Nothing arrived through the channel {self._name} in time.")
            self._take_totals()

    def _say_why(self, position: int) -> NoReturn:
        self._check_open()
        if self._ended:
            raise EndOfChannel(f"The channel {self._name} ended after {position} items.")
        raise PeerDied(
            f"Stage {self.spec.maker} is gone: it stopped sending to stage {self.spec.reader} "
            f"after {position} items without ending.",
            stage=self.spec.maker,
        )

    def _take_totals(self) -> None:
        count = os.readv(self._read, self._inbox)
        if count == TOTAL_BYTES:
            self._hear(self._inbox_totals[0])
        elif count:
            self._hear(self._largest(count))
        else:
            self._over = True

    def _hear(self, total: int) -> None:
        if total >= _END_BIT:
            self._ended = self._over = True
            total ^= _END_BIT
        if total > self._available:
            self._available = total
