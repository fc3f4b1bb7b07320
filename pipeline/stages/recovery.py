"""What the memory of a dead stage's channels implies: pure decisions, no processes.

A stage publishes an item on all its outputs and only then releases its inputs.  So wherever it
died, at most one item is published on some outputs and not on the others, everything before that
item is finished, and it and everything behind it is still in the input rings::

    published on its outputs      3   3   4          resume with item 3: compute it again,
                                          ▲          publish it on the first two only
                        the third has item 3 already
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.errors import ChannelError

MAX_IDLE_DEATHS = 16
"""How often a stage may lose its device at the same place of the stream with no item in work.

It is given up when that has also lasted for long.  Without a bound, a device that dies as soon as
it starts would be replaced for ever.
"""


@dataclass(frozen=True)
class Resumption:
    """Where a stage goes on: its next item, and which outputs hold that one already."""

    next_item: int
    ahead: tuple[bool, ...]


def resumption(published: Sequence[int]) -> Resumption:
    """What the numbers of items published on each output say of the stage that published them.

    Raises :class:`~pipeline.errors.ChannelError` for numbers that no stage leaves behind.
    """
    next_item = min(published)
    if max(published) > next_item + 1:
        raise ChannelError(
            f"The outputs of a stage hold {list(published)} items, but they can differ by 1 at "
            "most: the memory was overwritten."
        )
    return Resumption(next_item, tuple(count > next_item for count in published))


def item_lost(item_in_work: int, next_item: int) -> int | None:
    """The item a dead stage held unfinished; ``None`` if it was idle, or done with it."""
    return next_item if item_in_work == next_item else None


def runnable(next_item: int, available: Sequence[int], room: Sequence[int]) -> bool:
    """Whether a stage depends on nobody but itself.

    ``available`` are the numbers of items published on its inputs, ``room`` says for each output
    how many items may have been published there in all.
    """
    return all(count > next_item for count in available) and all(n > next_item for n in room)


@dataclass
class Losses:
    """How often a stage lost its device at the same place, and what follows from it."""

    max_replays: int
    item: int | None = None
    next_item: int = -1
    count: int = field(default=0)
    since_s: float = 0.0

    def add(self, item: int | None, next_item: int, now_s: float = 0.0) -> None:
        """The device was lost with ``item`` in work, ``next_item`` being due."""
        if (item, next_item) != (self.item, self.next_item):
            self.item, self.next_item, self.count, self.since_s = item, next_item, 0, now_s
        self.count += 1

    @property
    def condemned(self) -> bool:
        """Whether the item in work was replayed as often as allowed, and shall fail instead."""
        return self.item is not None and self.count > self.max_replays

    @property
    def hopeless(self) -> bool:
        """Whether no further device should be sacrificed."""
        if self.item is None:
            return self.count > MAX_IDLE_DEATHS
        # A condemned item is not computed, so a device lost with it was lost for other reasons.
        return self.count > self.max_replays + 1 + MAX_IDLE_DEATHS
