"""Noticing that a stage hangs: it should go on, and does not within a deadline.

Looks only while items are in flight, and when the nearest deadline may be due.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.host import Sink, Source
from pipeline.supervising.seating import Seat, Seating


class Watch:
    """Looks after the seats of one pipeline.  Belongs to the pump thread."""

    def __init__(
        self,
        seating: Seating,
        source: Source,
        sink: Sink,
        deadline_s: float | None,
        ask_all: Callable[[], None],
    ) -> None:
        """``ask_all`` asks every stage to say again how far it is, and does not wait."""
        self._seating = seating
        self._source = source
        self._sink = sink
        self._deadline_s = deadline_s
        self._ask_all = ask_all
        self._end_since: float | None = None
        self._next_check: float | None = None
        self._stuck: dict[int, tuple[int, float]] = {}

    @property
    def in_flight(self) -> bool:
        """Whether something that went in has not come out."""
        finished = self._sink.finished
        return self._source.pushed > finished or (self._source.ended and not self._sink.ended)

    def look(self, hangs: Callable[[Seat, str], None]) -> float | None:
        """Tell of seats past their deadline; gives the time until the next one."""
        deadline_s = self._deadline_s
        if deadline_s is None:
            return None
        now = time.monotonic()
        if self._next_check is None or now >= self._next_check:
            if not self.in_flight:  # the next push wakes the pump
                self._next_check = None
                self._stuck.clear()
                return None
            first = self._next_check is None
            self._next_check = now + deadline_s
            if not first:
                self._look(now, deadline_s, hangs)
            self._press_for_the_end(now, deadline_s)
        return max(0.0, self._next_check - now)

    def _look(self, now: float, deadline_s: float, hangs: Callable[[Seat, str], None]) -> None:
        for seat in self._seating.seats:
            for segment in seat.segments:
                item = self._late_with(seat, segment, now, deadline_s) if seat.running else None
                if item is not None:
                    self._stuck.pop(segment, None)
                    hangs(
                        seat,
                        f"it did not go on with item {item} of segment {segment} within "
                        f"{deadline_s:g} s",
                    )

    def _press_for_the_end(self, now: float, deadline_s: float) -> None:
        """Find who keeps the end back, which is no item that anybody could be late with.

        Everyone is asked, and who does not answer is late with that.
        """
        left = self._source.ended and not self._sink.ended
        if not left or self._source.pushed > self._sink.finished:
            self._end_since = None
        elif self._end_since is None:
            self._end_since = now
        elif now - self._end_since >= deadline_s:
            self._end_since = now
            self._ask_all()

    def _late_with(self, seat: Seat, segment: int, now: float, deadline_s: float) -> int | None:
        next_item = self._seating.next_item(segment)
        item, busy_since_ns = self._seating.pages[segment].work()
        if busy_since_ns:
            since = busy_since_ns / 1e9
        elif self._seating.owes_answer(seat):
            since = seat.asked_at
        elif self._seating.waits_for_nobody(segment, next_item, self._sink.granted_on):
            # It should do something at any moment; the first look only tells it has not yet.
            seen_item, since = self._stuck.get(segment, (-1, now))
            if seen_item != next_item:
                self._stuck[segment] = next_item, now
                since = now
        else:
            self._stuck.pop(segment, None)
            return None
        due = since + deadline_s
        if due > now:
            assert self._next_check is not None
            self._next_check = min(self._next_check, due)
            return None
        return next_item if item < 0 else item
