"""The queue between two stages: one producer, one consumer, a ring of fixed-size slots.

::

    producer                     ring of slots                      consumer
    reserve() ─► write tensors ─► commit(item) ═══ record ═══► receive() ─► read tensors
        ▲                                                                      │
        └───────────────── credit (one per freed slot) ◄════════════════ release(ns)

Tensors are written once into a block of memory and read there; what travels besides is one small
record forward and one credit back.  The consumer hands out the credits, the first ones included
(:meth:`Consumer.grant`), so that it can keep the queue shorter than the ring.

An end may be replaced: its successor opens the same ring, ``resume`` finds in the memory where the
dead one was, and the living end says again how far it is (``announce``, ``regrant``).  That is
why records and credits are running totals: hearing one twice, or only the last one, is enough.

This module holds what all implementations share.  ``tests/pipeline/channels`` holds the
contract, run against each of them.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.device import Tensor, TensorSpec

ALIGNMENT_BYTES = 64
"""Everything starts at multiples of this: a cache line, and the widest vector register."""

HEADER_BYTES = 64
"""Room for a header: a cache line.  The headers of all slots come before the first block."""

ERROR_BYTES = 1024
"""Room every block has for the text of an error, however small its tensors are."""

HEADER = struct.Struct("<QqqIIiIQ")
"""The producer's part of a header: item id, ready_ns, entry_ns, block, flags, origin, length,
and last the sequence: which item of the channel this is, counted from 1.

``pack_into`` clears the header first and writes the sequence at the end, after the tensors and
everything else.  A process that dies on the way therefore leaves 0, or the low bytes of the
number, either of which is below the sequence of the slot before: the largest sequence in a ring
always says how many items were published completely.
"""

SEQUENCE = struct.Struct("<Q")
SEQUENCE_OFFSET = 40

RELEASED_OFFSET = 48
"""The consumer's part of a header: the time at which it gave the slot back, 8 bytes."""

FLAG_SYNTHETIC = 1
"""The tensors are zero-filled placeholders: some device on the way computes nothing."""

FLAG_ERROR = 2
"""The item failed; its block holds the text of the error, and nothing else."""

GENERATION_SHIFT = 8
"""The flags above this bit say which generation of its stage failed an item."""


@dataclass(frozen=True)
class ChannelSpec:
    """One queue: who makes its tensors, who reads them, which they are, and its length.

    Stages count from 0; the host is stage ``-1`` where items enter and stage ``n`` where the
    results of an n-stage pipeline leave.
    """

    maker: int
    reader: int
    tensors: tuple[TensorSpec, ...]
    slots: int


@dataclass(frozen=True)
class SlotLayout:
    """Where tensors lie in a block: offsets from its start, and the stride of blocks, in bytes."""

    offsets: tuple[int, ...]
    stride_bytes: int

    @classmethod
    def of(cls, tensors: tuple[TensorSpec, ...]) -> SlotLayout:
        """The layout for these tensors, every one aligned to 64 bytes."""
        offsets = []
        end = 0
        for tensor in tensors:
            offsets.append(end)
            end += _aligned(tensor.size_bytes)
        return cls(tuple(offsets), _aligned(max(end, ERROR_BYTES)))

    def ring_bytes(self, slots: int) -> int:
        """Size of a ring: the headers of all slots, then as many blocks."""
        return slots * (HEADER_BYTES + self.stride_bytes)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item failed: the segment it failed in, and what was said there.

    ``generation`` counts how often that segment had been given a new device.
    """

    segment: int
    cause: str
    generation: int = 0

    def encode(self) -> bytes:
        """The cause as UTF-8, cut to what every slot can hold."""
        return self.cause.encode(errors="replace")[:ERROR_BYTES]


@dataclass(slots=True)
class Item:
    """One received item.  ``tensors`` are read-only views, valid until it is released.

    ``ready_ns`` is when the maker published it, ``entry_ns`` when the item entered the first
    stage.  A failed item has a ``failure`` and no tensors worth reading.
    """

    item_id: int
    ready_ns: int
    entry_ns: int
    synthetic: bool
    tensors: Mapping[str, Tensor]
    failure: Failure | None


def joined(items: Sequence[Item]) -> Item:
    """The parts of one item, that came through several channels, as one.

    It was published when its last part was, and failed if any part did.
    """
    tensors: dict[str, Tensor] = {}
    for item in items:
        tensors.update(item.tensors)
    return Item(
        items[0].item_id,
        max([item.ready_ns for item in items]),
        min([item.entry_ns for item in items]),
        any(item.synthetic for item in items),
        tensors,
        next((item.failure for item in items if item.failure is not None), None),
    )


@dataclass(slots=True)
class Slot:
    """Room for one item: arrays to fill, until it is published.

    ``released_ns`` is when the consumer gave back the item as many places before this one as the
    ring has slots; 0 if there was none.  ``others`` are further arrays that are to get the same
    values, where several channels are fed at once (:mod:`pipeline.stages.ends`).
    """

    tensors: Mapping[str, Tensor]
    released_ns: int = 0
    others: tuple[Mapping[str, Tensor], ...] = ()


class Producer(ABC):
    """The writing end of a channel.  Used by one thread at a time.

    Every method raises :class:`~pipeline.errors.ChannelClosed` after :meth:`close`.
    """

    spec: ChannelSpec
    committed: int
    """Items published so far, failed ones included."""

    @abstractmethod
    def free(self) -> int:
        """Slots that can be reserved without waiting; never blocks.

        Raises :class:`~pipeline.errors.PeerDied` if none is and the consumer is gone.
        """

    @property
    @abstractmethod
    def credited(self) -> int:
        """Credits received so far, the initial grant included."""

    @abstractmethod
    def reserve(self, timeout: float | None = None) -> Slot:
        """Wait for a free slot.  Asked again before ``commit`` or ``fail``, gives the same one.

        Raises :class:`~pipeline.errors.PeerDied` if the consumer is gone, ``TimeoutError`` after
        ``timeout`` seconds.
        """

    @abstractmethod
    def commit(
        self, item_id: int, *, ready_ns: int, entry_ns: int, synthetic: bool = False
    ) -> None:
        """Publish the reserved slot.  Raises :class:`~pipeline.errors.PeerDied`."""

    @abstractmethod
    def fail(self, item_id: int, failure: Failure, *, ready_ns: int, entry_ns: int) -> None:
        """Publish a failed item in the reserved slot.  Raises ``PeerDied``."""

    @abstractmethod
    def end(self) -> None:
        """Say that nothing follows.  Raises ``PeerDied``."""

    def resume(self) -> int:
        """Continue behind what the ring holds already; gives the number of items published."""
        return self.committed

    def published(self) -> Item | None:
        """The item published last, as its slot has it; ``None`` if there was none."""
        return None

    def announce(self) -> None:  # noqa: B027  (nothing to repeat where ends are not replaced)
        """Say again how many items are published.  From any thread; never raises ``PeerDied``."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back; without :meth:`end` before it, the consumer sees a dead peer."""


class Consumer(ABC):
    """The reading end of a channel.  Used by one thread at a time.

    Every method raises :class:`~pipeline.errors.ChannelClosed` after :meth:`close`.  Handing out
    credits to a producer that is gone is not an error: what it published can still be received.
    """

    spec: ChannelSpec

    @abstractmethod
    def grant(self, credits: int) -> None:
        """Let the producer publish that many items more.

        Raises ``ValueError`` if more would be promised than the ring has slots.
        """

    @abstractmethod
    def poll(self) -> bool:
        """Whether :meth:`receive` would return or raise at once; never blocks."""

    @abstractmethod
    def receive(self, timeout: float | None = None) -> Item:
        """Wait for the next item.

        Raises :class:`~pipeline.errors.EndOfChannel` (again and again) once the end is reached,
        :class:`~pipeline.errors.PeerDied` if the producer is gone without announcing it, and
        ``TimeoutError`` after ``timeout`` seconds.
        """

    @abstractmethod
    def retire(self, released_ns: int) -> None:
        """Be done with the oldest item received, at this time, without granting a new credit."""

    def resume(self, position: int, released_ns: int) -> None:  # noqa: B027
        """Continue with item ``position`` of the channel; the one before left at this time."""

    def regrant(self) -> None:  # noqa: B027  (nothing to repeat where ends are not replaced)
        """Say again how many items are granted.  From any thread."""

    def release(self, released_ns: int) -> None:
        """Be done with the oldest item received and grant its slot again."""
        self.retire(released_ns)
        self.grant(1)

    @abstractmethod
    def close(self) -> None:
        """Give everything back; the producer sees a dead peer when it next needs a slot."""


def block_views(
    spec: ChannelSpec,
    layout: SlotLayout,
    memory: NDArray[np.uint8],
    offset: int,
    *,
    writeable: bool,
) -> dict[str, Tensor]:
    """Arrays over the block at ``offset`` of ``memory``, by name; built once, for all items.

    They are made from another array, not from its buffer: ``numpy.ndarray(buffer=...)`` drops
    its claim on a mapping at once and would let it be unmapped under a view still in use.
    """
    views: dict[str, Tensor] = {}
    for tensor, inner in zip(spec.tensors, layout.offsets, strict=True):
        start = offset + inner
        view = memory[start : start + tensor.size_bytes].view(tensor.dtype).reshape(tensor.shape)
        view.flags.writeable = writeable
        views[tensor.name] = view
    return views
