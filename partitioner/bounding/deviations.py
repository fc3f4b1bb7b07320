"""How the segments' deviations from their rates vary together."""

from __future__ import annotations

import numpy as np

from partitioner.problem import UNTOLD, Array, Features, Index, Mask

MOVED = ("bytes in", "bytes out")
"""The features of what starts and ends bring about."""

_SMALLEST_SHARE = 0.02
"""No operator is believed to cost less than this share of the average one."""


class Deviations:
    """What segments have in common with measured ones, and so deviate by alike.

    Segments share what their common operators deviate by, what a common start deviates by in
    bytes in and a common end in bytes out, and what each rate deviates by as a whole.
    """

    def __init__(
        self, features: Features, rates: Array, unsure: Array, first: Index, end: Index
    ) -> None:
        self._features = features
        self.unsure = unsure
        """Of each rate, by one standard deviation."""
        self.first, self.end = first, end
        """The measured segments, by their places."""
        design = features.design(first, end)
        self.columns = design * unsure
        """What each measured segment deviates by when a rate does, by one standard deviation."""
        shares = _operator_shares(features, rates)
        self.own = shares**2
        """By operator, the variance of its cost for a scale of 1, ns^2."""
        self._variance = features.places.prepared(self.own)
        names = features.names
        self._moved = [names.index(edge) if edge in names else None for edge in MOVED]
        self.edge_rates = tuple(0.0 if at is None else float(rates[at]) for at in self._moved)
        """What a byte in and a byte out cost, ns."""
        self.common = features.places.overlap(self._variance, first, end)
        """By place and measured segment: the variance of what lies before and is in common."""
        self.own_edges = self.edges(first, end, design)
        """Those of the measured segments."""
        self._own_sides = []
        """Which numbers from :data:`UNTOLD` on those are; the last, that of all larger ones, is
        none."""
        for sides, _ in self.own_edges:
            own = np.zeros(int(sides.max(initial=UNTOLD)) - UNTOLD + 2, dtype=np.bool_)
            own[sides - UNTOLD] = True
            self._own_sides.append(own)

    def covariance_parts(self, f: Index, e: Index, design: Array) -> tuple[Array, Array]:
        """Between the segments given (rows) and the measured ones (columns), ns^2, in two parts.

        What grows with the square of the scale of the deviations, and the rates'.
        """
        common = self.common[e] - self.common[f]
        for which, (sides, costs) in enumerate(self.edges(f, e, design)):
            common += self.in_common(which, sides, costs)
        return common, (design * self.unsure) @ self.columns.T

    def edges(self, f: Index, e: Index, design: Array) -> tuple[tuple[Index, Array], ...]:
        """Of starts and of ends: equal numbers for those alike, and what they cost, ns."""
        return tuple(zip(self._features.sides(f, e), self._edges(design), strict=True))

    def is_alike(self, which: int, sides: Index) -> Mask:
        """Which of the starts (0) or ends (1) a measured segment has, too."""
        own = self._own_sides[which]
        return own[np.minimum(sides - UNTOLD, len(own) - 1)]

    def in_common(self, which: int, sides: Index, costs: Array) -> Array:
        """The variance of starts (0) or ends (1) in common with the measured segments (columns),
        in the part that grows with the square of the scale."""
        own_sides, own_costs = self.own_edges[which]
        least = np.minimum.outer(costs, own_costs)
        return np.asarray(np.equal.outer(sides, own_sides) * least**2)

    def variance(self, f: Index, e: Index, design: Array, scale: float) -> Array:
        """Of each segment by itself, before anything is measured, ns^2."""
        enter, leave = self._edges(design)
        own = self._features.places.amount(self._variance, f, e) + enter**2 + leave**2
        some = np.flatnonzero(self.unsure)
        amounts = design.T[some] * self.unsure[some, None]
        result: Array = scale**2 * own + np.einsum("kn,kn->n", amounts, amounts)
        return result

    def _edges(self, design: Array) -> tuple[Array, Array]:
        """What entering and leaving cost, at the rates fitted."""
        enter, leave = (
            np.zeros(len(design)) if at is None else rate * design[:, at]
            for at, rate in zip(self._moved, self.edge_rates, strict=True)
        )
        return enter, leave


def _operator_shares(features: Features, rates: Array) -> Array:
    """What each operator costs at the given rates, and never quite nothing."""
    shares = np.zeros(features.places.num_operators)
    for name, rate in zip(features.names, rates, strict=True):
        if name in features.per_operator:
            shares = shares + rate * features.per_operator[name]
    result: Array = np.maximum(shares, _SMALLEST_SHARE * shares.mean())
    return result
