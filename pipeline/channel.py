"""The queue between two stages: one producer, one consumer, a ring of fixed-size slots.

::

    producer                     ring of slots                      consumer
    reserve() ─► write tensors ─► commit(item) ═══ record ═══► receive() ─► read tensors
        ▲                                                                      │
        └───────────────── credit (one per freed slot) ◄════════════════ release(ns)

Tensors are written once into a slot and read there; what travels besides is one small record
forward and one credit back.  The consumer hands out the credits, the first ones included
(:meth:`Consumer.grant`), so that it can keep the queue shorter than the ring.

This module holds what all implementations share.  ``tests/pipeline/test_channel.py`` is the
contract, run against each of them.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from devices.device import Tensor, TensorSpec

ALIGNMENT_BYTES = 64
"""Slots and tensors start at multiples of this: a cache line, and the widest vector register."""

HEADER_BYTES = 64
"""Room kept for the header in front of the tensors of a slot."""

ERROR_BYTES = 1024
"""Room every slot has for the text of an error, however small its tensors are."""

HEADER = struct.Struct("<QqqIIiI")
"""The producer's part of the header: item id, ready_ns, entry_ns, kind, flags, origin, length."""

RELEASED = struct.Struct("<q")
"""The consumer's part of the header: the time at which it gave the slot back."""

RELEASED_OFFSET = 48

RECORD = struct.Struct("<QII")
"""What goes through the forward pipe: item id, kind, payload length in bytes."""

FLAG_SYNTHETIC = 1
"""The tensors are zero-filled placeholders: some device on the way computes nothing."""


class Kind(IntEnum):
    """What a record announces."""

    DATA = 0
    ERROR = 1
    END = 2


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
    """Where things lie in a slot: tensor offsets from its start, and its stride, in bytes."""

    offsets: tuple[int, ...]
    stride_bytes: int

    @classmethod
    def of(cls, tensors: tuple[TensorSpec, ...]) -> SlotLayout:
        """The layout for these tensors, every one aligned to 64 bytes."""
        offsets = []
        end = HEADER_BYTES
        for tensor in tensors:
            offsets.append(end)
            end += _aligned(tensor.size_bytes)
        return cls(tuple(offsets), _aligned(max(end, HEADER_BYTES + ERROR_BYTES)))


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item failed: the segment it failed in, and what was said there."""

    segment: int
    cause: str

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


class Slot(ABC):
    """Room for one item: arrays to fill, and when the slot's last reader left it."""

    tensors: Mapping[str, Tensor]

    @property
    @abstractmethod
    def released_ns(self) -> int:
        """The time the consumer gave back the item that was here before; 0 for the first."""


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

    def release(self, released_ns: int) -> None:
        """Be done with the oldest item received and grant its slot again."""
        self.retire(released_ns)
        self.grant(1)

    @abstractmethod
    def close(self) -> None:
        """Give everything back; the producer sees a dead peer when it next needs a slot."""


def slot_views(
    spec: ChannelSpec,
    layout: SlotLayout,
    memory: NDArray[np.uint8],
    offset: int,
    *,
    writeable: bool,
) -> dict[str, Tensor]:
    """Arrays over one slot of ``memory``, by tensor name; built once, used for every item.

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
