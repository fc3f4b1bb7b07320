"""A channel between two processes of one host: unnamed shared memory and two pipes.

::

    memory     header | tensor | tensor     header | tensor | tensor    ...  (one slot each)
    forward    16-byte records  maker ──► reader
    back       1-byte credits   maker ◄── reader

The pipes are the synchronisation, the memory only carries bytes: a read from a pipe orders the
memory written before the matching write, on weakly ordered processors too.  A pipe is preferred
to a futex or an eventfd because all wake another core equally slowly and only the pipe reports
a dead peer, as end-of-file.  For that to work nobody else may hold an end open: descriptors are
not inheritable, and whoever creates a channel closes its copies once they are handed over.
Nothing has a name, so nothing can be left behind.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from devices.device import Tensor
from devices.errors import ConfigError, DeviceError
from pipeline.channel import (
    ERROR_BYTES,
    FLAG_SYNTHETIC,
    HEADER,
    HEADER_BYTES,
    RECORD,
    RELEASED,
    RELEASED_OFFSET,
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
from pipeline.errors import ChannelClosed, ChannelError, EndOfChannel, PeerDied
from pipeline.shared_memory import map_memory, unnamed_memory

READ_BYTES = 4096
"""How much of a pipe is read at once: 256 records, or 4096 credits."""

PIPE_BYTES = 65536
"""What a pipe holds unless told otherwise (Linux, pipe(7))."""

MAX_SLOTS = (1 << 20) // RECORD.size - 1
"""A forward pipe of 1 MiB, the most an ordinary user may ask for, holds that many records."""

_CREDITS = b"\0" * READ_BYTES
_DATA, _ERROR, _END = int(Kind.DATA), int(Kind.ERROR), int(Kind.END)


@dataclass(frozen=True)
class ChannelDescriptors:
    """All descriptors of a new channel; whoever created it hands them out and closes them.

    The producer takes ``memory``, ``back_read``, ``forward_write``; the consumer ``memory``,
    ``forward_read``, ``back_write``.
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
        opened.append(unnamed_memory(SlotLayout.of(spec.tensors).stride_bytes * spec.slots))
        opened.extend(os.pipe())
        opened.extend(os.pipe())
        memory, forward_read, forward_write, back_read, back_write = opened
        records_bytes = (spec.slots + 1) * RECORD.size
        if records_bytes > PIPE_BYTES and hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(PermissionError):  # a smaller pipe is right too, only blocks earlier
                fcntl.fcntl(forward_write, fcntl.F_SETPIPE_SZ, records_bytes)
    except OSError as error:
        for descriptor in opened:
            os.close(descriptor)
        raise DeviceError(
            f"The channel from stage {spec.maker} to stage {spec.reader} could not be opened: "
            f"{error}; raise the limit of open files (ulimit -n), or use a smaller queue_size or "
            "fewer stages."
        ) from error
    return ChannelDescriptors(memory, forward_read, forward_write, back_read, back_write)


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
        if self._credited == self.committed:
            if timeout is not None and not self._readable(timeout):
                raise TimeoutError(f"No slot of the channel {self._name} became free in time.")
            self._take_credits()
        return self._slots[self.committed % self.spec.slots]

    def commit(
        self, item_id: int, *, ready_ns: int, entry_ns: int, synthetic: bool = False
    ) -> None:
        self._check_open()
        flags = FLAG_SYNTHETIC if synthetic else 0
        length = self._payload_bytes
        start = self._slots[self.committed % self.spec.slots].start
        HEADER.pack_into(self._mapping, start, item_id, ready_ns, entry_ns, _DATA, flags, 0, length)
        self._announce(item_id, _DATA, length)

    def fail(self, item_id: int, failure: Failure, *, ready_ns: int, entry_ns: int) -> None:
        self._check_open()
        text = failure.encode()
        start = self._slots[self.committed % self.spec.slots].start
        HEADER.pack_into(
            self._mapping,
            start,
            item_id,
            ready_ns,
            entry_ns,
            _ERROR,
            0,
            failure.segment,
            len(text),
        )
        self._mapping[start + HEADER_BYTES : start + HEADER_BYTES + len(text)] = text
        self._announce(item_id, _ERROR, len(text))

    def end(self) -> None:
        self._check_open()
        self._send(RECORD.pack(self.committed, _END, 0))

    def _announce(self, item_id: int, kind: int, length: int) -> None:
        if self._credited == self.committed:
            raise ChannelError(f"Nothing is reserved in the channel {self._name}.")
        self._send(RECORD.pack(item_id, kind, length))
        self.committed += 1

    def _send(self, record: bytes) -> None:
        try:
            os.write(self._write, record)
        except BrokenPipeError:
            raise self._reader_gone() from None

    def _take_credits(self) -> None:
        credits = os.read(self._read, READ_BYTES)
        if not credits:
            if self._credited > self.committed:
                return  # free() says what is left; who needs more will find the peer gone
            raise self._reader_gone()
        self._credited += len(credits)

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
        self._records: deque[tuple[int, int, int]] = deque()
        self._granted = 0
        self._received = 0
        self._retired = 0
        self._orphaned = False

    def grant(self, credits: int) -> None:
        self._check_open()
        if not 0 <= credits <= self.spec.slots + self._retired - self._granted:
            raise ValueError(
                f"{credits} more credits would promise slots of the channel {self._name} "
                "that are not free."
            )
        self._granted += credits
        while credits > 0:
            try:
                credits -= os.write(self._write, _CREDITS[:credits])
            except BrokenPipeError:
                return  # the producer is gone; what it published is still there to read

    @property
    def pending(self) -> bool:
        """What :meth:`poll` would say without looking into the pipe."""
        return bool(self._records) or self._orphaned

    def poll(self) -> bool:
        self._check_open()
        if not self.pending and self._readable(0):
            self._take_records()
        return self.pending

    def receive(self, timeout: float | None = None) -> Item:
        self._check_open()
        while not self._records:
            if self._orphaned:
                raise PeerDied(
                    f"Stage {self.spec.maker} is gone: it stopped sending to stage "
                    f"{self.spec.reader} after {self._received} items without ending.",
                    stage=self.spec.maker,
                )
            if timeout is not None and not self._readable(timeout):
                raise TimeoutError(f"Nothing arrived through the channel {self._name} in time.")
            self._take_records()
        item_id, kind, length = self._records[0]
        if kind == _END:
            raise EndOfChannel(f"The channel {self._name} ended after {item_id} items.")
        self._records.popleft()
        slot = self._slots[self._received % self.spec.slots]
        written_id, ready_ns, entry_ns, _, flags, origin, _ = HEADER.unpack_from(
            self._mapping, slot.start
        )
        if written_id != item_id:
            raise ChannelError(
                f"The channel {self._name} announced item {item_id} but its slot holds item "
                f"{written_id}: the memory was overwritten."
            )
        self._received += 1
        failure = None
        if kind == _ERROR:
            start = slot.start + HEADER_BYTES
            text = self._mapping[start : start + min(length, ERROR_BYTES)]
            failure = Failure(origin, text.decode(errors="ignore"))
        return Item(
            item_id, ready_ns, entry_ns, bool(flags & FLAG_SYNTHETIC), slot.tensors, failure
        )

    def retire(self, released_ns: int) -> None:
        self._check_open()
        if self._retired == self._received:
            raise ChannelError(f"No item of the channel {self._name} is left to release.")
        start = self._slots[self._retired % self.spec.slots].start
        RELEASED.pack_into(self._mapping, start + RELEASED_OFFSET, released_ns)
        self._retired += 1

    def _take_records(self) -> None:
        data = os.read(self._read, READ_BYTES)
        if not data:
            self._orphaned = True
            return
        # Records are written whole (below PIPE_BUF) and a batch holds a whole number of them.
        self._records.extend(RECORD.iter_unpack(data))
