"""Which operators have to run before which, and the orders and ideals that follow from it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from compiler import Graph, first_come

Order = tuple[int, ...]
"""Units in an order in which they can run."""

_SHUFFLED_ORDERS = 24


@dataclass(frozen=True)
class Precedence:
    """Units of operators that are never separated, and which come before which.

    ``units``: operators as bits, most of them one alone; ``before``, ``behind``: by unit the units
    it directly depends on, and those that depend on it.  Units are in an order in which they can
    run, that of the file where the file's works.
    """

    units: tuple[int, ...]
    before: tuple[frozenset[int], ...]
    behind: tuple[frozenset[int], ...]

    def ideals(self, limit: int) -> tuple[int, ...] | None:
        """All sets of operators closed under predecessors, as bits; ``None`` if above ``limit``."""
        found = [0]
        ready = frozenset(u for u, before in enumerate(self.before) if not before)
        layer: dict[int, frozenset[int]] = {0: ready}  # of equally many units
        done: dict[int, int] = {0: 0}
        while layer:
            following: dict[int, frozenset[int]] = {}
            units: dict[int, int] = {}
            for ideal, ready in layer.items():
                for unit in ready:
                    larger = ideal | self.units[unit]
                    if larger in following:
                        continue
                    if len(found) + len(following) >= limit:
                        return None
                    has = done[ideal] | 1 << unit
                    units[larger] = has
                    following[larger] = (ready - {unit}) | {
                        u for u in self.behind[unit] if all(has >> b & 1 for b in self.before[u])
                    }
            found += following
            layer, done = following, units
        return tuple(found)

    def prefixes(self, order: Order) -> tuple[int, ...]:
        """The ideals that an order passes through."""
        ideal, result = 0, [0]
        for unit in order:
            ideal |= self.units[unit]
            result.append(ideal)
        return tuple(result)

    def order_by(self, key: Callable[[int, list[int]], tuple[float, ...]]) -> Order:
        """Always run the ready unit with the smallest ``key(unit, those already run)``."""
        missing = [len(before) for before in self.before]
        ready = {u for u, count in enumerate(missing) if count == 0}
        done: list[int] = []
        while ready:
            unit = min(ready, key=lambda u: (*key(u, done), u))
            ready.remove(unit)
            done.append(unit)
            for u in self.behind[unit]:
                missing[u] -= 1
                if not missing[u]:
                    ready.add(u)
        return tuple(done)

    @cached_property
    def _from_start(self) -> list[int]:
        """By unit: operators on the longest way to it."""
        result = [0] * len(self.units)
        for unit, before in enumerate(self.before):
            result[unit] = 1 + max((result[b] for b in before), default=0)
        return result

    @cached_property
    def _to_end(self) -> list[int]:
        result = [0] * len(self.units)
        for unit in range(len(self.units) - 1, -1, -1):
            result[unit] = 1 + max((result[b] for b in self.behind[unit]), default=0)
        return result

    def orders(self, sizes: Sequence[int]) -> Iterator[Order]:
        """Different ways to go through branches, the order of the file first.

        ``sizes``: by unit the bytes that it makes for others.  Not all are different.
        """
        yield tuple(range(len(self.units)))
        start, end = self._from_start, self._to_end

        def newest(unit: int, done: list[int]) -> float:
            """The later something it needs was made, the smaller."""
            at = {u: i for i, u in enumerate(done[-_WINDOW:])}
            return -max((at.get(b, -1) for b in self.before[unit]), default=-1)

        yield self.order_by(lambda u, done: (newest(u, done), end[u]))  # depth first, short ones
        yield self.order_by(lambda u, done: (newest(u, done), -end[u]))  # ... long branches first
        yield self.order_by(lambda u, _: (start[u],))  # breadth first
        yield self.order_by(lambda u, _: (-end[u],))  # everything as late as possible
        yield self.order_by(lambda u, _: (end[u],))  # short branches at once
        yield self.order_by(self._bytes_after(sizes))
        for seed in range(_SHUFFLED_ORDERS):
            yield self.order_by(_by_lot(seed, len(self.units), newest))

    def _bytes_after(self, sizes: Sequence[int]) -> Callable[[int, list[int]], tuple[float, ...]]:
        """What would have to cross a cut behind a unit, more or less than before it."""
        has: set[int] = set()

        def key(unit: int, done: list[int]) -> tuple[float, ...]:
            has.update(done[-1:])
            freed = sum(sizes[b] for b in self.before[unit] if self.behind[b] <= has | {unit})
            return ((sizes[unit] if self.behind[unit] else 0) - freed,)

        return key


def _by_lot(
    seed: int, units: int, newest: Callable[[int, list[int]], float]
) -> Callable[[int, list[int]], tuple[float, ...]]:
    """Draw lots among the units that are ready, for odd seeds where no branch has been begun."""
    stream = random.Random(seed)
    luck = [stream.random() for _ in range(units)]
    if seed % 2:
        return lambda unit, done: (newest(unit, done), luck[unit])
    return lambda unit, _: (luck[unit],)


_WINDOW = 64
"""Units looked back at by depth-first orders."""


def precedence_of(graph: Graph) -> Precedence:
    """The precedence of a graph's operators."""
    before: list[set[int]] = []
    for index in range(len(graph)):
        makers = {graph.makers[t] for t in graph.read_by(index)}
        before.append({maker for maker in makers if maker is not None})
    together = [operators for operators, _ in graph.inseparable]
    unit_of = list(range(len(graph))) if not together else _merged(before, together)
    members: dict[int, int] = {}
    for index, unit in enumerate(unit_of):
        members[unit] = members.get(unit, 0) | 1 << index
    needs: dict[int, set[int]] = {unit: set() for unit in members}
    for index, makers_of_it in enumerate(before):
        needs[unit_of[index]] |= {unit_of[maker] for maker in makers_of_it} - {unit_of[index]}
    order = first_come(needs)
    number = {unit: i for i, unit in enumerate(order)}
    behind: list[set[int]] = [set() for _ in order]
    for unit, makers_units in needs.items():
        for maker in makers_units:
            behind[number[maker]].add(number[unit])
    return Precedence(
        tuple(members[unit] for unit in order),
        tuple(frozenset(number[maker] for maker in needs[unit]) for unit in order),
        tuple(map(frozenset, behind)),
    )


def _merged(before: Sequence[set[int]], together: Sequence[Sequence[int]]) -> list[int]:
    """By operator the first of those it cannot be separated from.

    These are the ones named and what lies on the ways between them: whoever both needs and is
    needed by the others once each of ``together`` is taken to need all of them.
    """
    needs = [set(makers) for makers in before]
    for group in together:
        for index in group:
            needs[index].update(group)
    reach = [1 << index for index in range(len(needs))]
    changed = True
    while changed:
        changed = False
        for index, direct in enumerate(needs):
            wider = reach[index]
            for maker in direct:
                wider |= reach[maker]
            changed |= wider != reach[index]
            reach[index] = wider
    first: dict[int, int] = {}
    return [first.setdefault(reach[index], index) for index in range(len(needs))]
