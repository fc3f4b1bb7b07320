"""A channel between two threads of one process: the same contract without descriptors.

The arrays are shared as they are; a condition variable does what the pipes do elsewhere.  Useful
where stages are threads, and as the plain second implementation the contract is tested on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from devices.device import Tensor
from pipeline.channels.contract import (
    ChannelSpec,
    Consumer,
    Failure,
    Item,
    Producer,
    Slot,
    SlotLayout,
    block_views,
)
from pipeline.errors import ChannelClosed, ChannelError, EndOfChannel, PeerDied


def in_process_channel(spec: ChannelSpec) -> tuple[InProcessProducer, InProcessConsumer]:
    """Both ends of a new channel."""
    ring = _Ring(spec)
    return InProcessProducer(ring), InProcessConsumer(ring)


@dataclass
class _Place:
    """One slot of the ring: its arrays, for each end, and when it was last given back."""

    writeable: dict[str, Tensor]
    readable: dict[str, Tensor]
    released_ns: int = 0


class _Ring:
    """What both ends share; ``changed`` guards every field."""

    def __init__(self, spec: ChannelSpec) -> None:
        self.spec = spec
        self.changed = threading.Condition()
        layout = SlotLayout.of(spec.tensors)
        self.places = []
        for _ in range(spec.slots):
            memory = np.zeros(layout.stride_bytes, np.uint8)
            self.places.append(
                _Place(
                    block_views(spec, layout, memory, 0, writeable=True),
                    block_views(spec, layout, memory, 0, writeable=False),
                )
            )
        self.items: deque[Item | None] = deque()  # None: the end
        self.credited = 0
        self.producer_closed = False
        self.consumer_closed = False

    def wait(self, until: Callable[[], bool], timeout: float | None, what: str) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not until():
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise TimeoutError(f"{what} the channel {self.name} in time.")
            self.changed.wait(remaining)

    @property
    def name(self) -> str:
        return f"from stage {self.spec.maker} to stage {self.spec.reader}"


class InProcessProducer(Producer):
    """The writing end."""

    def __init__(self, ring: _Ring) -> None:
        self.spec = ring.spec
        self.committed = 0
        self._ring = ring

    @property
    def credited(self) -> int:
        return self._ring.credited

    def free(self) -> int:
        ring = self._ring
        with ring.changed:
            self._check_open()
            free = ring.credited - self.committed
            if not free and ring.consumer_closed:
                raise self._reader_gone()
            return free

    def reserve(self, timeout: float | None = None) -> Slot:
        ring = self._ring
        with ring.changed:
            self._check_open()
            ring.wait(
                lambda: (
                    ring.credited > self.committed or ring.consumer_closed or ring.producer_closed
                ),
                timeout,
                "No slot became free in",
            )
            self._check_open()
            if ring.credited == self.committed:
                raise self._reader_gone()
            place = ring.places[self.committed % self.spec.slots]
            return Slot(place.writeable, place.released_ns)

    def commit(
        self, item_id: int, *, ready_ns: int, entry_ns: int, synthetic: bool = False
    ) -> None:
        place = self._ring.places[self.committed % self.spec.slots]
        self._publish(Item(item_id, ready_ns, entry_ns, synthetic, place.readable, None))

    def fail(self, item_id: int, failure: Failure, *, ready_ns: int, entry_ns: int) -> None:
        place = self._ring.places[self.committed % self.spec.slots]
        cut = Failure(failure.segment, failure.encode().decode(errors="ignore"))
        self._publish(Item(item_id, ready_ns, entry_ns, False, place.readable, cut))

    def end(self) -> None:
        with self._ring.changed:
            self._check_peer()
            self._ring.items.append(None)
            self._ring.changed.notify_all()

    def close(self) -> None:
        with self._ring.changed:
            self._ring.producer_closed = True
            self._ring.changed.notify_all()

    def _publish(self, item: Item) -> None:
        ring = self._ring
        with ring.changed:
            self._check_peer()
            if ring.credited == self.committed:
                raise ChannelError(f"Nothing is reserved in the channel {ring.name}.")
            ring.items.append(item)
            self.committed += 1
            ring.changed.notify_all()

    def _check_open(self) -> None:
        if self._ring.producer_closed:
            raise ChannelClosed(f"This end of the channel {self._ring.name} was closed already.")

    def _check_peer(self) -> None:
        self._check_open()
        if self._ring.consumer_closed:
            raise self._reader_gone()

    def _reader_gone(self) -> PeerDied:
        return PeerDied(
            f"Stage {self.spec.reader} is gone: it no longer takes items from stage "
            f"{self.spec.maker}.",
            stage=self.spec.reader,
        )


class InProcessConsumer(Consumer):
    """The reading end."""

    def __init__(self, ring: _Ring) -> None:
        self.spec = ring.spec
        self._ring = ring
        self._received = 0
        self._retired = 0

    def grant(self, credits: int) -> None:
        ring = self._ring
        with ring.changed:
            self._check_open()
            if not 0 <= credits <= self.spec.slots + self._retired - ring.credited:
                raise ValueError(
                    f"{credits} more credits would promise slots of the channel {ring.name} "
                    "that are not free."
                )
            ring.credited += credits
            ring.changed.notify_all()

    def poll(self) -> bool:
        with self._ring.changed:
            self._check_open()
            return bool(self._ring.items) or self._ring.producer_closed

    def receive(self, timeout: float | None = None) -> Item:
        ring = self._ring
        with ring.changed:
            self._check_open()
            ring.wait(
                lambda: bool(ring.items) or ring.producer_closed or ring.consumer_closed,
                timeout,
                "Nothing arrived through",
            )
            self._check_open()
            if not ring.items:
                raise PeerDied(
                    f"Stage {self.spec.maker} is gone: it stopped sending to stage "
                    f"{self.spec.reader} after {self._received} items without ending.",
                    stage=self.spec.maker,
                )
            item = ring.items[0]
            if item is None:
                raise EndOfChannel(f"The channel {ring.name} ended after {self._received} items.")
            ring.items.popleft()
            self._received += 1
            return item

    def retire(self, released_ns: int) -> None:
        with self._ring.changed:
            self._check_open()
            if self._retired == self._received:
                raise ChannelError(f"No item of the channel {self._ring.name} is left to release.")
            self._ring.places[self._retired % self.spec.slots].released_ns = released_ns
            self._retired += 1

    def close(self) -> None:
        with self._ring.changed:
            self._ring.consumer_closed = True
            self._ring.changed.notify_all()

    def _check_open(self) -> None:
        if self._ring.consumer_closed:
            raise ChannelClosed(f"This end of the channel {self._ring.name} was closed already.")
