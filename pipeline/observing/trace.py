"""What happened to every item in every stage, for the eye: recorded beside the statistics.

A traced stage writes one record of fixed size for each item into a ring behind its statistics
page, in the same unnamed shared memory, and the host reads it whenever it likes::

    | counters | latency histogram | records written: i64 | record | record | ... (trace_items) |

The ring keeps the newest items, so memory is bounded however long the pipeline runs.  A stage
that is not traced has a plain page and does nothing for any of this.
"""

from __future__ import annotations

import struct
import time
from copy import copy
from dataclasses import dataclass, fields

from devices.device import Timing
from devices.errors import ConfigError
from pipeline.observing.statistics import PAGE_BYTES, StageCounters, StatisticsPage

DEFAULT_ITEMS = 10_000
"""Items kept for each stage unless told otherwise: 1.4 MB of shared memory per stage."""

MOST_ITEMS = 10_000_000
"""More would not fit into the memory of an ordinary machine."""

_TIMING = tuple(part.name for part in fields(Timing))


@dataclass(frozen=True)
class ItemRecord:
    """One item in one stage.  Times are on the device's clock, those of the host on its own.

    ``wait_input_ns`` is how long the device had idled before ``start_ns``; between ``finish_ns``
    and ``depart_ns`` it held the outputs for lack of room downstream.  ``outcome`` is 0 if the
    item was inferred, 1 if it failed here and 2 if it had failed before and was passed on.
    ``host_execute_ns`` is how long the host took to compute what the device took the rest for.
    ``wait_shared_ns`` is what is between start and finish because of what devices share.
    """

    item: int
    outcome: int
    wait_input_ns: int
    start_ns: int
    finish_ns: int
    depart_ns: int
    host_begin_ns: int
    host_end_ns: int
    host_execute_ns: int
    overrun_ns: int
    overhead_ns: int
    parameter_load_ns: int
    input_ns: int
    compute_ns: int
    streaming_ns: int
    output_ns: int
    cpu_ns: int
    wait_shared_ns: int = 0


_RECORD = struct.Struct(f"<{len(fields(ItemRecord))}q")
_WRITTEN = struct.Struct("<q")
_FIRST_OFFSET = PAGE_BYTES + _WRITTEN.size


def trace_size(trace: bool | int) -> int:
    """How many items to keep for each stage, from what the user said.  Raises ``ConfigError``."""
    if isinstance(trace, bool):
        return DEFAULT_ITEMS if trace else 0
    if not isinstance(trace, int) or not 1 <= trace <= MOST_ITEMS:
        raise ConfigError(
            f"trace is {trace!r}, but it must be True, False, or how many items to keep for each "
            f"stage, from 1 to {MOST_ITEMS}."
        )
    return trace


def create_page(trace_items: int) -> int:
    """The memory of a stage's page, with room for so many records."""
    return StatisticsPage.create(_page_bytes(trace_items))


def open_page(memory: int, trace_items: int) -> StatisticsPage:
    """The page; takes ownership of the descriptor."""
    return TracedPage(memory, trace_items) if trace_items else StatisticsPage(memory)


def _page_bytes(trace_items: int) -> int:
    return PAGE_BYTES if not trace_items else _FIRST_OFFSET + _RECORD.size * trace_items


class TracedPage(StatisticsPage):
    """A statistics page that also records every item.

    All it needs to know is in the counters: what they grew by since the item before.
    """

    def __init__(self, memory: int, trace_items: int) -> None:
        super().__init__(memory, _page_bytes(trace_items))
        self._capacity = trace_items
        (self._written,) = _WRITTEN.unpack_from(self._mapping, PAGE_BYTES)
        self._before = self.counters()
        self._item = -1
        self._begin_ns = 0

    def begin(self, item: int, busy_since_ns: int = 0) -> None:
        """Note which item is in work, and since when."""
        super().begin(item, busy_since_ns)
        self._item = item
        self._begin_ns = time.monotonic_ns()

    def store(self, counters: StageCounters, start_ns: int | None = None) -> None:
        """Show the counters and record the item they just counted."""
        super().store(counters)
        now, before = counters, self._before
        if now.items < before.items:  # another stage began here, counting from zero
            before = StageCounters()
        depart_ns = now.last_depart_ns
        finish_ns = depart_ns - (now.wait_output_ns - before.wait_output_ns)
        wait_input_ns = now.wait_input_ns - before.wait_input_ns
        if start_ns is None:  # nobody knows any more: it died with the stage that did it
            first = before.items + before.failed_items + before.passed_items == 0
            start_ns = now.first_start_ns if first else before.last_depart_ns + wait_input_ns
        failed = now.failed_items > before.failed_items
        passed = now.passed_items > before.passed_items
        record = (
            self._item,
            1 if failed else 2 if passed else 0,
            wait_input_ns,
            start_ns,
            finish_ns,
            depart_ns,
            self._begin_ns,
            time.monotonic_ns(),
            now.host_ns - before.host_ns,
            now.overrun_ns - before.overrun_ns,
            *(getattr(now, name) - getattr(before, name) for name in _TIMING),
            0,
        )
        slot = self._written % self._capacity
        _RECORD.pack_into(self._mapping, _FIRST_OFFSET + slot * _RECORD.size, *record)
        self._written += 1
        _WRITTEN.pack_into(self._mapping, PAGE_BYTES, self._written)
        self._before = copy(counters)

    def records(self) -> tuple[list[ItemRecord], int]:
        """The newest records, oldest first, and how many older ones are gone.

        While the stage runs it may overwrite the oldest as they are read; those are left out.
        """
        (written,) = _WRITTEN.unpack_from(self._mapping, PAGE_BYTES)
        first = max(0, written - self._capacity)
        raw = [
            _RECORD.unpack_from(
                self._mapping, _FIRST_OFFSET + (index % self._capacity) * _RECORD.size
            )
            for index in range(first, written)
        ]
        (now_written,) = _WRITTEN.unpack_from(self._mapping, PAGE_BYTES)
        if now_written != written:  # the slot after the last one counted may be half written
            first_safe = max(first, now_written + 1 - self._capacity)
            raw, first = raw[first_safe - first :], first_safe
        return [ItemRecord(*values) for values in raw], first
