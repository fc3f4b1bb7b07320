"""The host's ends of all channels that carry final outputs: whole items in, credits out."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.channels import ChannelSpec, Item, SharedMemoryConsumer


class Arrivals:
    """Used by one thread at a time."""

    def __init__(self, consumers: Sequence[SharedMemoryConsumer]) -> None:
        """``consumers`` by rising maker, the last stage's last."""
        self._consumers = consumers
        self.finished = 0
        """Items that came out, failed ones included."""

    def look(self) -> None:
        """Find out what has arrived; never waits."""
        for consumer in self._consumers:
            consumer.poll()

    def receive(self) -> list[Item] | None:
        """The next item from every channel; ``None`` if not all have got it when looked at last.

        Raises ``EndOfChannel`` at the end of the stream, and ``PeerDied`` if a stage is gone.
        """
        for consumer in self._consumers:
            if not consumer.pending:
                return None
        return [consumer.receive() for consumer in self._consumers]

    def finish(self, exit_ns: int) -> None:
        """Be done with the item received last."""
        for consumer in self._consumers:
            consumer.retire(exit_ns)
        self.finished += 1

    def grant(self, most: int | None) -> None:
        """Promise every free slot; the last stage no more than ``most`` items in all."""
        last = self._consumers[-1]
        for consumer in self._consumers:
            allowed = self.finished + consumer.spec.slots
            if consumer is last and most is not None and most < allowed:
                allowed = most
            if allowed > consumer.granted:
                consumer.grant(allowed - consumer.granted)

    def granted_on(self, spec: ChannelSpec) -> int:
        """How many items may have been published on a channel in all."""
        return next(c.granted for c in self._consumers if c.spec == spec)

    def repeat(self, segment: int) -> None:
        """Tell a segment that was started anew how much room there is."""
        for consumer in self._consumers:
            if consumer.spec.maker == segment:
                consumer.regrant()

    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when :meth:`receive` may have more to give."""
        return tuple([c.fileno() for c in self._consumers if not c.pending])

    def close(self) -> None:
        """Close all ends."""
        for consumer in self._consumers:
            consumer.close()
