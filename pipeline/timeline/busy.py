"""When something that serves one at a time is taken: a link, or a host."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Busy:
    """The stretches of time that are taken, in ns, without gaps of zero length between them.

    Whoever asks first is served first; who asks later, for whatever time, gets what is left, in as
    many pieces as it takes.
    """

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []

    def serve(self, from_ns: int, amount_ns: int) -> int:
        """Take the first free ``amount_ns`` from ``from_ns`` on; gives when that is done."""
        if amount_ns == 0:
            return from_ns
        begins, ends = self._begins, self._ends
        first = last = bisect_left(ends, from_ns)  # the first that ends then, or later
        begin, now = from_ns, from_ns
        if first < len(begins) and begins[first] <= from_ns:
            begin, now = begins[first], ends[first]
            last += 1
        while last < len(begins) and begins[last] - now < amount_ns:
            amount_ns -= begins[last] - now
            now = ends[last]
            last += 1
        done = end = now + amount_ns
        if last < len(begins) and begins[last] == done:
            end = ends[last]
            last += 1
        # What was free in between is taken now, so all of it is one stretch.
        begins[first:last] = [begin]
        ends[first:last] = [end]
        return done

    def forget(self, before_ns: int) -> None:
        """Nobody will ask for a time before this one."""
        over = bisect_right(self._ends, before_ns)
        del self._begins[:over], self._ends[:over]
