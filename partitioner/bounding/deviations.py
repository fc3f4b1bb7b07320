"""How the segments' deviations from their rates vary together."""

from __future__ import annotations

import numpy as np

from partitioner.problem import Array, Features, Index

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
        self._unsure = unsure
        self.first, self.end = first, end
        """The measured segments, by their places."""
        self.columns = features.design(first, end) * unsure
        """What each measured segment deviates by when a rate does, by one standard deviation."""
        shares = _operator_shares(features, rates)
        self.own = shares**2
        """By operator, the variance of its cost for a scale of 1, ns^2."""
        self._variance = features.prepared(self.own)
        rate_of = dict(zip(features.names, rates, strict=True))
        self.edge_rates = rate_of.get("bytes in", 0.0), rate_of.get("bytes out", 0.0)
        """What a byte in and a byte out cost."""
        self.common = features.overlap(self._variance, first, end)
        """By place and measured segment: the variance of what lies before and is in common."""
        self.sides = features.starts(first, end), features.ends(first, end)
        self.edges = self._edges(first, end)
        """Where each measured segment starts and ends, and what its bytes there cost."""

    def covariance_parts(self, f: Index, e: Index, design: Array) -> tuple[Array, Array]:
        """Between the segments given (rows) and the measured ones (columns), ns^2, in two parts.

        What grows with the square of the scale of the deviations, and the rates'.
        """
        common = self.common[e] - self.common[f]
        rows, edges = self.edges_in_common(f, e)
        common[rows] += edges
        return common, (design * self._unsure) @ self.columns.T

    def edges_in_common(self, f: Index, e: Index) -> tuple[Index, Array]:
        """Which of the segments begin or end where a measured one does, which few do, and the
        variance of that, by measured segment."""
        sides = (self._features.starts(f, e), self._features.ends(f, e))
        return self.edges_alike(sides, self._edges(f, e))

    def edges_alike(
        self, sides: tuple[Index, Index], costs: tuple[Array, Array]
    ) -> tuple[Index, Array]:
        """The same by where segments start and end, and what their bytes there cost."""
        alike = [np.isin(mine, other) for mine, other in zip(sides, self.sides, strict=True)]
        rows = np.flatnonzero(alike[0] | alike[1])
        edges = np.zeros((len(rows), len(self.columns)))
        for side, (mine, other) in enumerate(zip(sides, self.sides, strict=True)):
            row, column = np.nonzero(np.equal.outer(mine[rows], other))
            least = np.minimum(costs[side][rows[row]], self.edges[side][column])
            edges[row, column] += least**2
        return rows, edges

    def variance(self, f: Index, e: Index, design: Array, scale: float) -> Array:
        """Of each segment by itself, before anything is measured, ns^2."""
        enter, leave = self._edges(f, e)
        own = self._features.amount(self._variance, f, e) + enter**2 + leave**2
        columns = design * self._unsure
        result: Array = scale**2 * own + (columns**2).sum(axis=1)
        return result

    def _edges(self, f: Index, e: Index) -> tuple[Array, Array]:
        """What entering and leaving cost, at the rates fitted."""
        zero = np.zeros(len(f))
        rate_in, rate_out = self.edge_rates
        if not rate_in and not rate_out:
            return zero, zero
        names = self._features.boundary_names
        columns = dict(zip(names, self._features.boundary_columns(f, e).T, strict=True))
        enter = rate_in * columns["bytes in"] if rate_in else zero
        leave = rate_out * columns["bytes out"] if rate_out else zero
        return enter, leave


def _operator_shares(features: Features, rates: Array) -> Array:
    """What each operator costs at the given rates, and never quite nothing."""
    shares = np.zeros(features.num_operators)
    for name, rate in zip(features.names, rates, strict=True):
        if name in features.per_operator:
            shares = shares + rate * features.per_operator[name]
    result: Array = np.maximum(shares, _SMALLEST_SHARE * shares.mean())
    return result
