"""What measured segments say of others: expectations, and how far off they may be.

Latencies are taken to vary together as a :class:`~partitioner.problem.Basis` says.  Then a
measurement corrects the expectation of whatever has operators, ends or rates in common with it,
and narrows its uncertainty: Gaussian process regression (kriging) in which the covariance of two
segments is the variance of what they share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partitioner.bounding.deviations import Deviations
from partitioner.problem import Array, Basis, Features, Index

_CHUNK = 16_384
"""Segments predicted at once, which bounds memory for models of thousands of operators."""


@dataclass(frozen=True, eq=False)
class _Explained:
    """What measurements explain of segments' variance, without a number for each measurement.

    Of the vector that tells, ``by_place[end] - by_place[first] + amounts @ by_rate``, only the
    square is wanted, and that is a sum over products of the three, which are worked out by place
    and by rate.
    """

    by_place: Array
    by_rate: Array
    squares: Array
    mixed: Array
    among_rates: Array

    @classmethod
    def of(cls, by_place: Array, by_rate: Array) -> _Explained:
        squares = np.einsum("ij,ij->i", by_place, by_place)
        return cls(by_place, by_rate, squares, by_place @ by_rate.T, by_rate @ by_rate.T)

    def at(self, first: Index, end: Index, amounts: Array) -> Array:
        """Of segments most of which have their places in common with others of them, ns^2."""
        (starts, of_start), (ends, of_end) = self._numbered(first), self._numbered(end)
        # As einsum: between many small products, the threads that @ would use cost ten times more.
        products = np.einsum("ik,jk->ij", self.by_place[starts], self.by_place[ends])
        along = np.einsum("ij,jk->ik", amounts, self.among_rates)
        along += 2.0 * (self.mixed[end] - self.mixed[first])
        result: Array = np.einsum("ij,ij->i", along, amounts)
        result += self.squares[first] + self.squares[end] - 2.0 * products[of_start, of_end]
        return result

    def _numbered(self, places: Index) -> tuple[Index, Index]:
        """The different places, and by segment the number of its own among them."""
        there = np.zeros(len(self.squares), dtype=np.bool_)
        there[places] = True
        return np.flatnonzero(there), (np.cumsum(there) - 1)[places]


@dataclass(frozen=True, eq=False)
class Kriging:
    """All that has to be worked out once for a set of measurements.

    Covariances with the measured segments are needed only multiplied by ``_onto``: the factor that
    tells what they explain, and the weights of their residuals in what is expected.  Most of that
    product is worked out by place and by rate, once.

    ``boundary_rates`` are the rates of the features of the boundary as corrected by the
    measurements; each row of ``boundary_axes`` is one independent standard deviation of them.
    ``worst_sigmas`` and ``worst_error`` tell how much the measured segments were overestimated
    when each was predicted from all the others: in standard deviations and relative to the truth.
    """

    boundary_rates: Array
    boundary_axes: Array
    worst_sigmas: float
    worst_error: float
    _features: Features
    _basis: Basis
    _rates: Array
    _measured: Deviations
    _onto: Array
    _by_place: Array
    _by_rate: Array
    _explained: _Explained

    @classmethod
    def of(
        cls, features: Features, basis: Basis, first: Index, end: Index, latency: Array
    ) -> Kriging:
        """From segments by their places and latencies, positive ns."""
        rates, unsure = np.array(basis.rates), np.array(basis.unsure)
        design = features.design(first, end)
        residual = (latency - design @ rates) / latency
        measured = Deviations(features, rates, unsure, first, end)
        apart, together = measured.covariance_parts(first, end, design)
        relative = (basis.scale**2 * apart + together) / np.outer(latency, latency)
        relative += basis.noise**2 * np.eye(len(latency))
        factor = np.linalg.inv(np.linalg.cholesky(relative))
        precision = factor.T @ factor
        weights = precision @ residual
        # Each measurement predicted from all others, in closed form.
        surplus = -weights / np.diag(precision)
        sigmas = -weights / np.sqrt(np.diag(precision))
        count = len(features.boundary_names)
        seen = (design * unsure)[:, :count] / latency[:, None]
        spread, axes = np.linalg.eigh(np.eye(count) - seen.T @ precision @ seen)
        scaled = axes.T * np.sqrt(np.maximum(spread, 0.0))[:, None]
        onto = np.column_stack([(factor / latency).T, weights / latency])
        by_place, by_rate = measured.common @ onto * basis.scale**2, measured.columns.T @ onto
        return cls(
            boundary_rates=rates[:count] + unsure[:count] * (seen.T @ weights),
            boundary_axes=scaled * unsure[:count],
            worst_sigmas=max(0.0, float(sigmas.max())),
            worst_error=max(0.0, float(surplus.max())),
            _features=features,
            _basis=basis,
            _rates=rates,
            _measured=measured,
            _onto=onto,
            _by_place=by_place,
            _by_rate=by_rate,
            _explained=_Explained.of(by_place[:, :-1], by_rate[:, :-1]),
        )

    def at(self, first: Index, end: Index, design: Array | None = None) -> tuple[Array, Array]:
        """Expected latency of each segment and how far off it may be (standard deviation), ns.

        ``design``: their features, where they are at hand.
        """
        mean, deviation = np.zeros(len(first)), np.zeros(len(first))
        scale, noise = self._basis.scale, self._basis.noise
        for low in range(0, len(first), _CHUNK):
            part = slice(low, low + _CHUNK)
            f, e = first[part], end[part]
            own = self._features.design(f, e) if design is None else design[part]
            amounts = own * np.array(self._basis.unsure)
            shift = self._by_place[e, -1] - self._by_place[f, -1] + amounts @ self._by_rate[:, -1]
            explained = self._explained.at(f, e, amounts)
            row, column, edges = self._measured.edges_in_common(f, e, own)
            rows, which = np.unique(row, return_inverse=True)
            projected = self._by_place[e[rows]] - self._by_place[f[rows]]
            projected += np.einsum("ij,jk->ik", amounts[rows], self._by_rate)
            np.add.at(projected, which, scale**2 * edges[:, None] * self._onto[column])
            shift[rows] = projected[:, -1]
            explained[rows] = np.einsum("ij,ij->i", projected[:, :-1], projected[:, :-1])
            mean[part] = own @ self._rates + shift
            variance = self._measured.variance(f, e, own, scale)
            shared = np.maximum(variance - explained, 0.0)
            deviation[part] = np.sqrt(shared + (noise * mean[part]) ** 2)
        return mean, deviation
