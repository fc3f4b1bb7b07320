"""A latency model fitted to nothing but measurements, which knows how unsure it is.

Two layers:

1. *Rates.*  Latency is taken as a non-negative combination of a segment's features (a request,
   bytes in and out, bytes off chip, multiply-accumulates by kind, ...).  The rates are found by
   non-negative least squares on relative errors.
2. *Deviations.*  Operators of one kind are not alike, so each operator may cost more or less than
   its rates say, likewise each place where a segment starts or ends, and each rate as a whole.
   Segments with operators in common have those deviations in common; hence a measurement
   corrects the prediction of its neighbours and narrows their uncertainty.  This is Gaussian
   process regression (kriging) in which the covariance of two segments is the variance of what
   they share.  How much operators deviate, and how much single segments scatter for no reason
   known, is chosen by likelihood among a few scales.

Rates and scales come from the measurements alone; no constant of any device is in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from partitioner.beliefs.nnls import nnls
from partitioner.problem import Array, Features, Index

_RIDGE = 1e-3
"""Pull towards small rates, which settles those that the measurements leave open."""

_NOISES = (0.002, 0.007, 0.02, 0.06)
"""Relative scatters of single segments to choose from, by which nothing else can be predicted; the
least one also keeps the equations solvable."""

_SCALES = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Relative deviations of operators from their rates to choose from."""

_UNTOLD = 2.0
"""So many measurements, and one for each rate fitted, tell nothing about the deviations."""

_RATE_DEVIATION = 1.0
"""Relative deviation of a whole rate, before measurements narrow it."""

_UNSEEN_RATE = 0.3
"""Least deviation of a rate, as a share of the latencies that it could explain alone.  Wide, so
that a few measurements, which many rates explain, do not pass for certainty."""

_SMALLEST_SHARE = 0.02
"""No operator is believed to cost less than this share of the average one."""

_CHUNK = 4_096
"""Segments predicted at once, which bounds memory for models of thousands of operators."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What measurements say about all segments, as far as the model can tell.

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
    _rates: Array
    _measured: _Deviations
    _latency: Array
    _scale: float
    _noise: float
    _factor: Array
    _weights: Array

    def at(self, first: Index, end: Index) -> tuple[Array, Array]:
        """Expected latency of each segment and how far off it may be (standard deviation), ns."""
        mean, deviation = np.zeros(len(first)), np.zeros(len(first))
        factor, weights = (self._factor / self._latency).T, self._weights / self._latency
        for low in range(0, len(first), _CHUNK):
            part = slice(low, low + _CHUNK)
            f, e = first[part], end[part]
            design = self._features.design(f, e)
            cross = self._measured.covariance(f, e, design, self._scale)
            projected = cross @ factor
            explained = np.einsum("ij,ij->i", projected, projected)
            mean[part] = design @ self._rates + cross @ weights
            variance = self._measured.variance(f, e, design, self._scale)
            shared = np.maximum(variance - explained, 0.0)
            deviation[part] = np.sqrt(shared + (self._noise * mean[part]) ** 2)
        return mean, deviation


class CostModel:
    """Predicts the latency of segments between the places of ``features``."""

    def __init__(self, features: Features) -> None:
        self._features = features

    def fit(self, first: Index, end: Index, latency: Array) -> Prediction:
        """Predict all segments from measured ones.

        ``first``, ``end``: numbers of places; ``latency``: nanoseconds, positive.
        """
        features = self._features
        design = features.design(first, end)
        rates, unsure = _fit_rates(design, latency)
        residual = (latency - design @ rates) / latency
        measured = _Deviations(features, rates, unsure, first, end)
        both = np.outer(latency, latency)
        apart, together = (part / both for part in measured.covariance_parts(first, end, design))

        # The rates were fitted to the same measurements, which makes these look well explained.
        doubt = _UNTOLD + np.count_nonzero(rates)

        def relative_covariance(scale: float, noise: float) -> Array:
            shared = scale**2 * apart + together
            return np.asarray(shared + noise**2 * np.eye(len(latency)))

        scale, noise = max(
            product(_SCALES, _NOISES),
            key=lambda pair: (
                _log_likelihood(relative_covariance(*pair), residual) + doubt * np.log(pair[0])
            ),
        )
        factor = np.linalg.inv(np.linalg.cholesky(relative_covariance(scale, noise)))
        precision = factor.T @ factor
        weights = precision @ residual
        # Each measurement predicted from all others, in closed form.
        surplus = -weights / np.diag(precision)
        sigmas = -weights / np.sqrt(np.diag(precision))
        boundary_rates, boundary_axes = _boundary_rates(
            len(features.boundary_names), rates, unsure, design, latency, precision, weights
        )
        return Prediction(
            boundary_rates,
            boundary_axes,
            worst_sigmas=max(0.0, float(sigmas.max())),
            worst_error=max(0.0, float(surplus.max())),
            _features=features,
            _rates=rates,
            _measured=measured,
            _latency=latency,
            _scale=scale,
            _noise=noise,
            _factor=factor,
            _weights=weights,
        )


class _Deviations:
    """How the segments' deviations from the rates vary together.

    Segments share what their common operators deviate by, what a common start deviates by in
    bytes in and a common end in bytes out, and what each rate deviates by as a whole.
    """

    def __init__(
        self, features: Features, rates: Array, unsure: Array, first: Index, end: Index
    ) -> None:
        self._features = features
        self._unsure = unsure
        self._columns = features.design(first, end) * unsure
        shares = _operator_shares(features, rates)
        self._variance = features.prepared(shares**2)
        rate_of = dict(zip(features.names, rates, strict=True))
        self._rate_in = rate_of.get("bytes in", 0.0)
        self._rate_out = rate_of.get("bytes out", 0.0)
        self._common = features.overlap(self._variance, first, end)
        self._own_sides = features.starts(first, end), features.ends(first, end)
        self._own_edges = self._edges(first, end)

    def covariance(self, f: Index, e: Index, design: Array, scale: float) -> Array:
        """Between the segments given (rows) and the measured ones (columns), ns^2."""
        apart, together = self.covariance_parts(f, e, design)
        apart *= scale**2
        apart += together
        return apart

    def covariance_parts(self, f: Index, e: Index, design: Array) -> tuple[Array, Array]:
        """The same in two parts: what grows with the scale of the deviations, and the rates'."""
        common = self._common(f, e)
        ours, theirs = self._edges(f, e), self._own_edges
        sides = (self._features.starts(f, e), self._features.ends(f, e))
        for side, (mine, other) in enumerate(zip(sides, self._own_sides, strict=True)):
            # Few segments begin or end where a measured one does.
            row, column = _equal_pairs(mine, other)
            common[row, column] += np.minimum(ours[side][row], theirs[side][column]) ** 2
        return common, (design * self._unsure) @ self._columns.T

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
        if not self._rate_in and not self._rate_out:
            return zero, zero
        names = self._features.boundary_names
        columns = dict(zip(names, self._features.boundary_columns(f, e).T, strict=True))
        enter = self._rate_in * columns["bytes in"] if self._rate_in else zero
        leave = self._rate_out * columns["bytes out"] if self._rate_out else zero
        return enter, leave


def _equal_pairs(many: Index, few: Index) -> tuple[Index, Index]:
    """The pairs of places in both arrays at which the numbers are equal."""
    rows = np.flatnonzero(np.isin(many, few))
    row, column = np.nonzero(np.equal.outer(many[rows], few))
    return rows[row], column


def _operator_shares(features: Features, rates: Array) -> Array:
    """What each operator costs at the given rates, and never quite nothing."""
    shares = np.zeros(features.num_operators)
    for name, rate in zip(features.names, rates, strict=True):
        if name in features.per_operator:
            shares = shares + rate * features.per_operator[name]
    result: Array = np.maximum(shares, _SMALLEST_SHARE * shares.mean())
    return result


def _fit_rates(design: Array, latency: Array) -> tuple[Array, Array]:
    """Nanoseconds per unit of each feature, and the standard deviation granted to them.

    Features are scaled by the largest share of a latency that one unit of rate would explain, so
    that a scaled rate of 1 means "explains a whole latency" whatever the feature's unit.
    """
    relative = design / latency[:, None]
    scale = relative.max(axis=0)
    seen = scale > 0.0
    scaled = relative[:, seen] / scale[seen]
    ridge = np.sqrt(_RIDGE) * np.eye(scaled.shape[1])
    target = np.concatenate([np.ones(len(latency)), np.zeros(len(ridge))])
    share = nnls(np.vstack([scaled, ridge]), target)
    rates, unsure = np.zeros(len(scale)), np.zeros(len(scale))
    rates[seen] = share / scale[seen]
    unsure[seen] = np.maximum(_RATE_DEVIATION * share, _UNSEEN_RATE) / scale[seen]
    return rates, unsure


def _boundary_rates(
    count: int,
    rates: Array,
    unsure: Array,
    design: Array,
    latency: Array,
    precision: Array,
    weights: Array,
) -> tuple[Array, Array]:
    """The first ``count`` rates after all measurements, and the axes of what is unsure in them."""
    seen = (design * unsure)[:, :count] / latency[:, None]
    covariance = np.eye(count) - seen.T @ precision @ seen
    spread, axes = np.linalg.eigh(covariance)
    scaled = axes.T * np.sqrt(np.maximum(spread, 0.0))[:, None]
    return rates[:count] + unsure[:count] * (seen.T @ weights), scaled * unsure[:count]


def _log_likelihood(covariance: Array, residual: Array) -> float:
    """Of the residual under a normal distribution, up to a constant."""
    lower = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(lower, residual)
    return float(-0.5 * whitened @ whitened - np.log(np.diag(lower)).sum())
