"""The channels of a stage, seen as one that brings items and one that takes them away.

::

    channel ──┐                                     ┌──► channel
              ├──► incoming ──► stage ──► outgoing ─┤
    channel ──┘                                     └──► channel

Most stages have one channel on either side, which then is the end itself: the stage does the same
with it as with several, and pays nothing for what it does not use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.channels import Consumer, Failure, Item, Producer, Slot, joined
from pipeline.errors import ChannelError, EndOfChannel
from pipeline.stages.routes import SOURCE


class Incoming(Protocol):
    """Where a stage gets its items: a :class:`~pipeline.channels.Consumer`, or several as one."""

    def receive(self) -> Item:
        """Wait for the next item.  Raises ``EndOfChannel`` and ``PeerDied``."""
        ...

    def release(self, released_ns: int) -> None:
        """Be done with the oldest item received."""
        ...


class Outgoing(Protocol):
    """Where a stage puts its items: a :class:`~pipeline.channels.Producer`, or several as one."""

    def reserve(self) -> Slot:
        """Wait for room.  Raises ``PeerDied``."""
        ...

    def commit(
        self, item_id: int, *, ready_ns: int, entry_ns: int, synthetic: bool = False
    ) -> None:
        """Publish what was put into the reserved slot.  Raises ``PeerDied``."""
        ...

    def fail(self, item_id: int, failure: Failure, *, ready_ns: int, entry_ns: int) -> None:
        """Publish a failed item.  Raises ``PeerDied``."""
        ...

    def end(self) -> None:
        """Say that nothing follows.  Raises ``PeerDied``."""
        ...


def incoming(consumers: Sequence[Consumer]) -> Incoming:
    """All input channels of a stage as one."""
    return consumers[0] if len(consumers) == 1 else _Joined(consumers)


def outgoing(producers: Sequence[Producer]) -> Outgoing:
    """All, or some, output channels of a stage as one."""
    return producers[0] if len(producers) == 1 else _Forked(producers)


class _Joined:
    """Receives the same item from every channel, and makes one of it."""

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        self._consumers = consumers
        self._segment = consumers[0].spec.reader
        self._from_stages = [
            index for index, consumer in enumerate(consumers) if consumer.spec.maker != SOURCE
        ] or [0]

    def receive(self) -> Item:
        items: list[Item] = []
        end: EndOfChannel | None = None
        for consumer in self._consumers:
            try:
                items.append(consumer.receive())
            except EndOfChannel as reached:
                end = reached
        if end is not None and not items:
            raise end
        ids = [item.item_id for item in items]
        if end is not None or len(set(ids)) > 1:
            raise ChannelError(
                f"The input channels of segment {self._segment} disagree: "
                f"{len(self._consumers) - len(items)} of them ended, the others hold items {ids}."
            )
        item = joined(items)
        item.entry_ns = min([items[index].entry_ns for index in self._from_stages])
        return item

    def release(self, released_ns: int) -> None:
        for consumer in self._consumers:
            consumer.release(released_ns)


class _Forked:
    """Publishes an item on every channel: there is room once all have some."""

    def __init__(self, producers: Sequence[Producer]) -> None:
        self._producers = producers

    def reserve(self) -> Slot:
        slots = [producer.reserve() for producer in self._producers]
        return Slot(
            slots[0].tensors,
            max([slot.released_ns for slot in slots]),
            tuple([slot.tensors for slot in slots[1:]]),
        )

    def commit(
        self, item_id: int, *, ready_ns: int, entry_ns: int, synthetic: bool = False
    ) -> None:
        for producer in self._producers:
            producer.commit(item_id, ready_ns=ready_ns, entry_ns=entry_ns, synthetic=synthetic)

    def fail(self, item_id: int, failure: Failure, *, ready_ns: int, entry_ns: int) -> None:
        for producer in self._producers:
            producer.fail(item_id, failure, ready_ns=ready_ns, entry_ns=entry_ns)

    def end(self) -> None:
        for producer in self._producers:
            producer.end()
