"""The times of one repeat of a point, as arrays: both engines give them, all figures need them.

All times are nanoseconds on the devices' clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]


@dataclass(frozen=True)
class Items:
    """Measured items that came out, in the order they came: an entry of every array each.

    ``copy`` is the pipeline it went through, ``number`` its number among the measured items of
    that one; ``ready_ns`` is when it was there, ``entry_ns`` when it entered the first stage,
    ``exit_ns`` when it left.
    """

    copy: Times
    number: Times
    ready_ns: Times
    entry_ns: Times
    exit_ns: Times

    def __len__(self) -> int:
        return len(self.number)

    @staticmethod
    def of(rows: Sequence[tuple[int, int, int, int, int]]) -> Items:
        """From one tuple for each item, with the fields in their order."""
        return Items(*np.array(rows, np.int64).reshape(len(rows), 5).T)


@dataclass(frozen=True)
class StageTimes:
    """Measured items in one stage of one copy, those that were inferred there, in their order.

    ``number`` counts as :class:`Items` does; ``cpu_ns`` is the part between start and finish that
    the host's CPU took for operators that are not mapped, ``shared_ns`` the part that others made
    it wait for what devices share.  ``warm_up`` has a row of start, finish and CPU time for what
    the stage inferred before, where that is known.
    """

    copy: int
    segment: int
    device: str
    number: Times
    start_ns: Times
    finish_ns: Times
    depart_ns: Times
    cpu_ns: Times
    shared_ns: Times
    warm_up: Times = field(default_factory=lambda: np.empty((0, 3), np.int64))

    @property
    def busy_ns(self) -> Times:
        """How long each took by itself."""
        return self.finish_ns - self.start_ns - self.shared_ns


@dataclass(frozen=True)
class Repeat:
    """What one repeat gave.

    ``alone_ns`` are latencies of warm items with nothing else under way.  ``wanted`` is how many
    items were to be measured, ``failed`` how many came out as errors, ``broken`` why it ended
    early, if it did.
    """

    items: Items
    alone_ns: tuple[int, ...]
    stages: tuple[StageTimes, ...]
    wanted: int
    failed: int = 0
    replayed: int = 0
    overruns: int = 0
    broken: str | None = None
