"""What measured segments say of others: expectations, and how far off they may be.

Latencies are taken to vary together as a :class:`~partitioner.problem.Basis` says.  Then a
measurement corrects the expectation of whatever has operators, ends or rates in common with it,
and narrows its uncertainty: Gaussian process regression (kriging) in which the covariance of two
segments is the variance of what they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from partitioner.bounding.deviations import Deviations
from partitioner.bounding.telling import afar
from partitioner.problem import Array, Basis, Features, Index

_CHUNK = 16_384
"""Segments predicted at once, which bounds memory for models of thousands of operators."""

_MANY_PAIRS = 8
"""Of so many times more pairs of different starts and ends than segments, only those are multiplied
that are a segment's."""

_ODD = -7046029254386353131
"""A factor whose multiples, which overflow, hardly ever coincide (2^64 / the golden ratio)."""


@dataclass(frozen=True, eq=False)
class Kriging:
    """All that has to be worked out once for a set of measurements.

    Covariances with the measured segments are needed only multiplied by ``onto``: the factor that
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
    basis: Basis
    _rates: Array
    measured: Deviations
    onto: Array
    _by_place: Array
    by_rate: Array

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
        relative += np.diag(basis.noise**2 + afar(latency, basis.near_ns) ** 2)
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
        return cls(
            boundary_rates=rates[:count] + unsure[:count] * (seen.T @ weights),
            boundary_axes=scaled * unsure[:count],
            worst_sigmas=max(0.0, float(sigmas.max())),
            worst_error=max(0.0, float(surplus.max())),
            _features=features,
            basis=basis,
            _rates=rates,
            measured=measured,
            onto=onto,
            _by_place=measured.common @ onto * basis.scale**2,
            by_rate=measured.columns.T @ onto,
        )

    def at(self, first: Index, end: Index, design: Array | None = None) -> tuple[Array, Array]:
        """Expected latency of each segment and how far off it may be (standard deviation), ns.

        ``design``: their features, where they are at hand.
        """
        mean, deviation = np.zeros(len(first)), np.zeros(len(first))
        for low in range(0, len(first), _CHUNK):
            part = slice(low, low + _CHUNK)
            f, e = first[part], end[part]
            own = self._features.design(f, e) if design is None else design[part]
            own = np.asarray(own, order="F")  # long columns, which are faster to go through
            shift, explained = self._told(f, e, own)
            mean[part] = np.einsum("kn,k->n", own.T[self._some], self._rates[self._some]) + shift
            variance = self.measured.variance(f, e, own, self.basis.scale)
            shared = np.maximum(variance - explained, 0.0)
            deviation[part] = np.sqrt(shared + (self.basis.noise * mean[part]) ** 2)
        return mean, deviation

    @cached_property
    def _some(self) -> Index:
        """The features that latencies depend on."""
        return np.flatnonzero((self._rates != 0.0) | (self.measured.unsure != 0.0))

    @cached_property
    def _along(self) -> tuple[Array, Array]:
        """Of those, what the measurements tell of their rates, and the products of that."""
        told = np.ascontiguousarray(self.by_rate[self._some, :-1])
        return told, told @ told.T

    def _told(self, f: Index, e: Index, design: Array) -> tuple[Array, Array]:
        """What the measured segments add to each mean, and the variance that they explain.

        Covariances with them, times ``onto``, are a vector of the end less one of the start, which
        few segments have for themselves, plus amounts of the rates'.  Of the square of that
        only products of these are needed, and not one number for each segment and measurement.
        They are products by einsum: many small ones cost ten times more with the threads of ``@``.
        """
        start, end = self.measured.edges(f, e, design)
        starts, s = self._vectors(0, f, *start)
        ends, t = self._vectors(1, e, *end)
        told, products = self._along
        amounts = design.T[self._some] * self.measured.unsure[self._some, None]
        shift = ends[t, -1] - starts[s, -1]
        shift += np.einsum("kn,k->n", amounts, self.by_rate[self._some, -1])
        starts, ends = starts[:, :-1], ends[:, :-1]
        along = np.einsum("jk,jn->kn", products, amounts)
        along += np.take(2.0 * np.einsum("kj,ij->ki", told, ends), t, axis=1)
        along -= np.take(2.0 * np.einsum("kj,ij->ki", told, starts), s, axis=1)
        explained: Array = np.einsum("kn,kn->n", along, amounts)
        explained += np.einsum("ij,ij->i", starts, starts)[s]
        explained += np.einsum("ij,ij->i", ends, ends)[t]
        if len(starts) * len(ends) <= _MANY_PAIRS * len(s):
            explained -= 2.0 * np.einsum("ij,kj->ik", starts, ends)[s, t]
        else:
            explained -= 2.0 * np.einsum("ij,ij->i", starts[s], ends[t])
        return shift, explained

    def _vectors(
        self, which: int, places: Index, sides: Index, costs: Array
    ) -> tuple[Array, Index]:
        """The different ones of starts (0) or ends (1), and by segment the number of its own.

        Those that no measured one is alike have their place's.
        """
        alike = self.measured.is_alike(which, sides)
        at_place = np.zeros(len(self._by_place), dtype=np.bool_)
        at_place[places[~alike]] = True
        number = (np.cumsum(at_place) - 1)[places]
        plain, some = np.flatnonzero(at_place), np.flatnonzero(alike)
        of = places[some], sides[some], costs[some]
        # In an order that puts equal ones beside each other, whatever else.
        mixed = (of[0] * _ODD + of[1]) * _ODD + of[2].view(np.int64)
        order = np.argsort(mixed)
        turns = np.zeros(len(some), dtype=np.bool_)
        turns[:1] = True
        for key in of:
            turns[1:] |= np.diff(key[order]) != 0
        number[some[order]] = len(plain) + np.cumsum(turns) - 1
        one = order[turns]
        vectors = self._by_place[np.concatenate([plain, of[0][one]])]
        self._add_shared(which, vectors[len(plain) :], of[1][one], of[2][one])
        return vectors, number

    def _add_shared(self, which: int, vectors: Array, sides: Index, costs: Array) -> None:
        """Add what starts (0) or ends (1) have in common with measured ones, mostly with few."""
        shared = self.measured.in_common(which, sides, costs) * self.basis.scale**2
        if not which:
            np.negative(shared, out=shared)
        rows, columns = np.nonzero(shared)
        counts = np.bincount(rows, minlength=len(shared))
        behind = np.cumsum(counts) - counts
        for rank in range(counts.max(initial=0)):
            some = np.flatnonzero(counts > rank)
            column = columns[behind[some] + rank]
            vectors[some] += shared[some, column, None] * self.onto[column]
