"""Putting things that need each other into an order that changes as little as possible."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter


def first_come(needs: Mapping[int, Iterable[int]]) -> list[int]:
    """The keys, each behind those it needs; of those that could be next always the least.

    So an order that works is kept.  What waits for each other in a circle, or for something that
    does, is left out.
    """
    sorter = TopologicalSorter(needs)
    with suppress(CycleError):
        sorter.prepare()
    ready: list[int] = []
    order: list[int] = []
    while True:
        for one in sorter.get_ready():
            heapq.heappush(ready, one)
        if not ready:
            return order
        order.append(heapq.heappop(ready))
        sorter.done(order[-1])
