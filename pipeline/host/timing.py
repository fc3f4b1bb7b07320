"""Who says at the host when items entered and left, where the rings cannot know it."""

from __future__ import annotations

from typing import Protocol


class Timekeeper(Protocol):
    """Works out the times of items as they come out; only the pump asks."""

    def due(self) -> bool:
        """Whether the next item may come out: those of other pipelines before it have."""
        ...

    def times_of(self, item: int, ready_ns: int) -> tuple[int, int]:
        """Entry and exit of the next item, which was ready at this time."""
        ...
