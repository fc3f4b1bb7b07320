"""Chains of segments: the exact solutions, over whatever segments are still in question.

A *place* is where a cut may be (a position between operators), numbered so that every segment
leads from a lower place to a higher one; place 0 is the model's beginning, the last place its
end.  A cut into ``k`` segments is a path of ``k`` segments from the first place to the last.
Devices may be of several kinds, on which segments take different times (:class:`Offer`); then
each segment of a path goes to a device of one of them::

    rest[u][i] = the best way from place i to the end on u[q] devices of each kind q
               = best over kinds q and segments (i, j) of
                 worse of cost[q](i, j) and rest[u without one of q][j]

taken ``k`` times.  Of one kind, ``u`` only counts the segments, and that costs O(k x segments); of
4 + 4 devices of two kinds it costs five times as much.  Where no segment is long, each cut can only
be at some of the places (:mod:`partitioner.solving.windows`), and those from others are left out.
Costs may be anything (not additive, not monotone): the recurrence is that of chains-on-chains
partitioning (Pinar and Aykanat, 2004) without their additivity.  Segments are flat arrays, not
tables over all pairs of places: of thousands of operators, few segments can be part of a good cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from partitioner.problem import Array, Index, Mask, Segments
from partitioner.solving.windows import Window, windows_of

_Usage = tuple[int, ...]
"""Devices used, by kind."""


@dataclass(frozen=True, eq=False)
class Offer:
    """What devices of one kind can do: run ``segments`` at ``costs`` (ns), ``count`` at a time.

    Kinds need not offer the same segments, but these lie between the same places.
    """

    segments: Segments
    costs: Array
    count: int

    def where(self, mask: Mask) -> Offer:
        """The same of the segments for which ``mask`` is true."""
        return Offer(self.segments.where(mask), self.costs[mask], self.count)

    def starting(self, window: Window) -> Offer:
        """The same of the segments that begin in a window of places."""
        part, segments = self.segments.starting(*window)
        return Offer(segments, self.costs[part], self.count)


def offers_of(segments: Segments, costs: Iterable[Array], counts: Iterable[int]) -> list[Offer]:
    """By kind, with so many devices, an offer of the segments whose costs are finite."""
    each = (Offer(segments, ns, count) for ns, count in zip(costs, counts, strict=True))
    return [offer.where(np.isfinite(offer.costs)) for offer in each]


@dataclass(frozen=True)
class Solution:
    """Cuts (places, both ends left out) and their value.

    ``kinds``: of the device for each segment, by number; empty where there is nothing to choose.
    """

    cuts: tuple[int, ...]
    bottleneck: float
    fastest: float
    kinds: tuple[int, ...] = ()

    @property
    def gap(self) -> float:
        return self.bottleneck - self.fastest


def least_bottleneck(
    offers: Sequence[Offer], num_segments: int, allowed: Mask | None = None
) -> float:
    """The smallest maximum over all cuts; ``inf`` if there is none.

    ``allowed`` (``num_segments - 1 x places``) says where each cut may be.
    """
    return min(least_on_each(offers, num_segments, allowed).values(), default=np.inf)


def least_on_each(
    offers: Sequence[Offer], num_segments: int, allowed: Mask | None = None
) -> dict[tuple[int, ...], float]:
    """The same by devices used, so many of each kind: of those that any segments are offered for.

    ``inf`` for those on which there is no cut.
    """
    layer = _end(offers, -np.inf)
    windows = windows_of([offer.segments for offer in offers], num_segments)
    for segment in reversed(range(num_segments)):
        longer: dict[_Usage, Array] = {}
        some = [offer.starting(windows[segment]) for offer in offers]
        for rest, kind, used in _onward(layer, some):
            segments, costs = some[kind].segments, some[kind].costs
            values = segments.least(np.maximum(costs, rest[segments.end]))
            old = longer.get(used)
            longer[used] = values if old is None else np.minimum(old, values)
        layer = _restricted(longer, allowed, segment)
    return {used: float(rest[0]) for used, rest in layer.items()}


def greatest_fastest(
    offers: Sequence[Offer], num_segments: int, ceiling: float, allowed: Mask | None = None
) -> float:
    """The largest minimum over the cuts whose maximum is at most ``ceiling``; ``-inf`` if none.

    The same with the order turned round.
    """
    usable = [offer.where(offer.costs <= ceiling) for offer in offers]
    turned = [Offer(offer.segments, -offer.costs, offer.count) for offer in usable]
    return -least_bottleneck(turned, num_segments, allowed)


def cheapest_cuts(
    offers: Sequence[Offer],
    num_segments: int,
    *,
    allowed: Mask | None = None,
    tolls: Array | None = None,
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Cuts and kinds, of any segments offered, with the least sum of ``tolls`` (of each place).

    Leftmost among equals on each kind.
    """
    layer = _end(offers, 0.0)
    windows = windows_of([offer.segments for offer in offers], num_segments)
    choices: list[dict[_Usage, tuple[Index, Index]]] = []
    for segment in reversed(range(num_segments)):
        longer: dict[_Usage, Array] = {}
        chosen: dict[_Usage, tuple[Index, Index]] = {}
        some = [offer.starting(windows[segment]) for offer in offers]
        for rest, kind, used in _onward(layer, some):
            segments = some[kind].segments
            onward = rest[segments.end]
            values = segments.least(onward)
            ends = segments.ends_of(onward, values)
            kinds = np.full(len(ends), kind, dtype=np.intp)
            if used in longer:
                old, (old_ends, old_kinds) = longer[used], chosen[used]
                better = values < old
                values = np.where(better, values, old)
                ends, kinds = (
                    np.where(better, ends, old_ends),
                    np.where(better, kinds, old_kinds),
                )
            longer[used], chosen[used] = values, (ends, kinds)
        if tolls is not None and segment:
            longer = {used: values + tolls for used, values in longer.items()}
        layer = _restricted(longer, allowed, segment)
        choices.append(chosen)
    used = min(layer, key=lambda u: layer[u][0], default=())
    if not used or not np.isfinite(layer[used][0]):
        return None
    place = 0
    cuts: list[int] = []
    kinds_taken: list[int] = []
    for chosen in reversed(choices):
        ends, kinds = chosen[used]
        kind, place = int(kinds[place]), int(ends[place])
        kinds_taken.append(kind)
        cuts.append(place)
        used = tuple(count - (q == kind) for q, count in enumerate(used))
    return tuple(cuts[:-1]), tuple(kinds_taken)


def best_cuts(
    offers: Sequence[Offer],
    num_segments: int,
    *,
    allowed: Mask | None = None,
    tolls: Array | None = None,
) -> Solution | None:
    """The lowest bottleneck, then the smallest gap, then the least sum of tolls.

    No cut has a maximum below the bottleneck B, so each one kept has its maximum at exactly B, and
    the largest minimum M makes the smallest gap.  ``None`` if no cut has finite costs only.
    """
    bottleneck = least_bottleneck(offers, num_segments, allowed)
    if not np.isfinite(bottleneck):
        return None
    fastest = greatest_fastest(offers, num_segments, bottleneck, allowed)
    usable = [o.where((o.costs <= bottleneck) & (o.costs >= fastest)) for o in offers]
    found = cheapest_cuts(usable, num_segments, allowed=allowed, tolls=tolls)
    assert found is not None, "both values were found on a path"
    cuts, kinds = found
    return Solution(cuts, bottleneck, fastest, kinds)


def least_through(
    offers: Sequence[Offer], num_segments: int, allowed: Mask | None = None
) -> list[Array]:
    """For each segment offered, by kind, the smallest maximum over the cuts it is part of.

    As if there were enough devices of each kind.  ``inf`` for those that are part of none.
    """
    places = offers[0].segments.num_places
    ahead = np.full((num_segments + 1, places), np.inf)
    rest = ahead.copy()
    ahead[0, 0] = rest[num_segments, -1] = -np.inf
    windows = windows_of([offer.segments for offer in offers], num_segments)
    by_end = [np.argsort(offer.segments.end, kind="stable") for offer in offers]
    ends = [offer.segments.end[order] for offer, order in zip(offers, by_end, strict=True)]
    for cut in range(1, num_segments):
        low, high = windows[cut]
        for offer, order, end in zip(offers, by_end, ends, strict=True):
            part = slice(*np.searchsorted(end, [low, high + 1]))
            here, reached = order[part], end[part]
            values = np.maximum(offer.costs[here], ahead[cut - 1][offer.segments.first[here]])
            starts = np.flatnonzero(np.diff(reached, prepend=-1))
            if len(starts):
                at, least = reached[starts], np.minimum.reduceat(values, starts)
                ahead[cut, at] = np.minimum(ahead[cut, at], least)
        if allowed is not None:
            ahead[cut, ~allowed[cut - 1]] = np.inf
    for cut in range(num_segments - 1, 0, -1):
        for offer in offers:
            part, some = offer.segments.starting(*windows[cut])
            onward = np.maximum(offer.costs[part], rest[cut + 1][some.end])
            np.minimum(rest[cut], some.least(onward), out=rest[cut])
        if allowed is not None:
            rest[cut, ~allowed[cut - 1]] = np.inf
    results = []
    for offer in offers:
        through = np.full(len(offer.segments), np.inf)
        for segment in range(num_segments):
            part, some = offer.segments.starting(*windows[segment])
            onward = np.maximum(ahead[segment][some.first], rest[segment + 1][some.end])
            np.minimum(through[part], onward, out=through[part])
        results.append(np.maximum(through, offer.costs))
    return results


def on_some_path(
    kinds: Sequence[Segments], num_segments: int, allowed: Mask | None = None
) -> list[Mask]:
    """Which segments, for each kind those offered, are part of any cut made of them alone.

    As if there were enough devices of each kind: of several kinds some too many are kept.
    """
    places = kinds[0].num_places
    reached = np.zeros((num_segments + 1, places), dtype=np.bool_)
    leads = np.zeros((num_segments + 1, places), dtype=np.bool_)
    reached[0, 0] = leads[num_segments, places - 1] = True
    parts = [
        [segments.starting(*window) for segments in kinds]
        for window in windows_of(kinds, num_segments)[:-1]
    ]
    for cut in range(1, num_segments):
        for _, some in parts[cut - 1]:
            reached[cut, some.end[reached[cut - 1][some.first]]] = True
        if allowed is not None:
            reached[cut] &= allowed[cut - 1]
    for cut in range(num_segments - 1, 0, -1):
        for _, some in parts[cut]:
            leads[cut, some.first[leads[cut + 1][some.end]]] = True
        leads[cut] &= reached[cut]
    results = [np.zeros(len(segments), dtype=np.bool_) for segments in kinds]
    for segment in range(num_segments):
        for result, (part, some) in zip(results, parts[segment], strict=True):
            result[part] |= reached[segment][some.first] & leads[segment + 1][some.end]
    return results


def _end(offers: Sequence[Offer], value: float) -> dict[_Usage, Array]:
    """Nothing left to run, which is so at the last place only."""
    rest = np.full(offers[0].segments.num_places, np.inf)
    rest[-1] = value
    return {(0,) * len(offers): rest}


def _onward(
    layer: Mapping[_Usage, Array], offers: Sequence[Offer]
) -> Iterator[tuple[Array, int, _Usage]]:
    """What each kind with a device left could be put before, and the devices used then."""
    for used, rest in layer.items():
        for kind, offer in enumerate(offers):
            if used[kind] < offer.count and len(offer.segments):
                yield rest, kind, (*used[:kind], used[kind] + 1, *used[kind + 1 :])


def _restricted(
    layer: dict[_Usage, Array], allowed: Mask | None, segment: int
) -> dict[_Usage, Array]:
    """Only places where the cut before ``segment`` may be."""
    if allowed is None or segment == 0:
        return layer
    return {used: np.where(allowed[segment - 1], rest, np.inf) for used, rest in layer.items()}
