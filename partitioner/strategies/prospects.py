"""Which cuts are worth measuring, by what is believed of their segments on each kind of device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from partitioner.beliefs import Beliefs, Knowledge
from partitioner.problem import Array, Guard, Mask, Problem
from partitioner.solving import (
    Offer,
    Solution,
    best_cuts,
    cheapest_cuts,
    greatest_fastest,
    least_bottleneck,
    least_on_each,
)
from partitioner.strategies.strategy import Kind

Prospect = tuple[tuple[int, ...], tuple[int, ...]]
"""Cuts, as numbers of places, and the kind of device for each segment between them."""


class Prospects:
    """The cuts of a problem between its places, as paths of the segments believed in.

    ``counts`` says how many devices there are of each kind; beliefs are given for each kind.
    """

    def __init__(self, problem: Problem, counts: Sequence[int]) -> None:
        self._ideals = problem.ideals
        self._counts = counts
        self._k = problem.num_segments
        self._allowed = problem.allowed_cuts()
        self._tolls = problem.tolls()

    def best(self, known: Sequence[Knowledge]) -> Solution | None:
        """The best cut made of measured segments alone."""
        pairs = zip(known, self._counts, strict=True)
        offers = [Offer(*each.measured(), count) for each, count in pairs]
        return best_cuts(offers, self._k, allowed=self._allowed, tolls=self._tolls)

    def least_bottleneck(self, beliefs: Sequence[Beliefs]) -> float:
        """A latency that no cut's bottleneck is below; ``inf`` if there is no cut."""
        return least_bottleneck(self._offers(beliefs, lambda b: b.lower), self._k, self._allowed)

    def fastest(
        self, beliefs: Sequence[Beliefs], hopeful: Callable[[Array], Mask]
    ) -> Prospect | None:
        """The cut expected to have the lowest bottleneck among those of segments whose lower
        bounds are ``hopeful``."""
        some = [belief.where(hopeful(belief.lower)) for belief in beliefs]
        offers = self._offers(some, lambda b: b.expected)
        bottleneck = least_bottleneck(offers, self._k, self._allowed)
        if not np.isfinite(bottleneck):
            return None
        return self._cheapest([offer.where(offer.costs <= bottleneck) for offer in offers])

    def most_even(self, beliefs: Sequence[Beliefs], best: Solution) -> Prospect | None:
        """The cut expected to have the smallest gap among those that could beat ``best``'s."""
        some = [
            belief.where((belief.lower <= best.bottleneck) & (belief.upper > best.fastest))
            for belief in beliefs
        ]
        offers = self._offers(some, lambda b: np.minimum(b.expected, best.bottleneck))
        fastest = greatest_fastest(offers, self._k, best.bottleneck, self._allowed)
        if not np.isfinite(fastest):
            return None
        return self._cheapest([offer.where(offer.costs >= fastest) for offer in offers])

    def fewest_bytes(self, beliefs: Sequence[Beliefs], best: Solution) -> Prospect | None:
        """The cut with the fewest bytes across that could be as fast and as even as ``best``."""
        if self._tolls is None:
            return None
        some = [
            belief.where((belief.lower <= best.bottleneck) & (belief.upper >= best.fastest))
            for belief in beliefs
        ]
        found = self._cheapest(self._offers(some, lambda b: b.expected))
        if found is None or self._bytes(found[0]) >= self._bytes(best.cuts):
            return None
        return found

    def in_file_order(self, beliefs: Sequence[Beliefs]) -> Sequence[Beliefs]:
        """The beliefs on what lies in the order of the file, which is little; else nothing."""
        if self._ideals is None:
            return [belief.where(np.zeros(len(belief.segments), np.bool_)) for belief in beliefs]
        return [belief.where(self._ideals.in_file_order(belief.segments)) for belief in beliefs]

    def _offers(self, beliefs: Sequence[Beliefs], costs: Callable[[Beliefs], Array]) -> list[Offer]:
        pairs = zip(beliefs, self._counts, strict=True)
        return [Offer(belief.segments, costs(belief), count) for belief, count in pairs]

    def _cheapest(self, offers: Sequence[Offer]) -> Prospect | None:
        return cheapest_cuts(offers, self._k, allowed=self._allowed, tolls=self._tolls)

    def _bytes(self, cuts: Sequence[int]) -> float:
        assert self._tolls is not None, "bytes are compared where they are known"
        return float(self._tolls[list(cuts)].sum())


def least_on_each_choice(
    problem: Problem, kinds: Sequence[Kind], near_ns: int, ceiling_ns: int
) -> tuple[Mapping[tuple[int, ...], float], Guard]:
    """By devices used, so many of each kind, a latency (ns) that no cut on them is below.

    By what is known of the ``kinds`` alone, nothing is measured, and how well what that rests on
    held.  ``near_ns``: the best bottleneck on any of them.  No more is told than ``ceiling_ns``,
    which all cuts are above on devices that are missing.
    """
    known = [Knowledge(problem.places, problem.features) for _ in kinds]
    offers = []
    for kind, about in zip(kinds, known, strict=True):
        for segment, latency in kind.known.items():
            about.observe(segment, latency)
        about.near(near_ns)
        beliefs = about.beliefs(about.within(ceiling_ns))
        offers.append(Offer(beliefs.segments, beliefs.lower, kind.count))
    bounds = least_on_each(offers, problem.num_segments, problem.allowed_cuts())
    told = {usage: min(bound, float(ceiling_ns)) for usage, bound in bounds.items()}
    return told, Guard.worst([about.guard for about in known])
