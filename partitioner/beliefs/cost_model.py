"""From nothing but measurements to how latencies depend on features, and how surely.

Two layers:

1. *Rates.*  Latency is taken as a non-negative combination of a segment's features (a request,
   bytes in and out, bytes off chip, multiply-accumulates by kind, ...).  The rates are found by
   non-negative least squares on relative errors.
2. *Deviations.*  Operators of one kind are not alike, so each operator may cost more or less than
   its rates say, likewise each place where a segment starts or ends, and each rate as a whole
   (:mod:`partitioner.bounding.kriging`).  How much operators deviate, and how much single segments
   scatter for no reason known, is chosen among a few scales by the likelihood of the latencies
   whatever the rates are, so that a rate for each measurement does not pass for knowledge.

Rates and scales come from the measurements alone; no constant of any device is in here.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from partitioner.beliefs.nnls import nnls
from partitioner.bounding import Deviations, afar
from partitioner.problem import Array, Basis, Features, Index

_RIDGE = 1e-3
"""Pull towards small rates, which settles those that the measurements leave open."""

_NOISES = (0.002, 0.007, 0.02, 0.06, 0.12, 0.25)
"""Relative scatters of single segments to choose from, by which nothing else can be predicted; the
least one also keeps the equations solvable."""

_SCALES = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Relative deviations of operators from their rates to choose from."""

_LIKELY = 2.0
"""The largest deviations are believed whose log-likelihood is at most so far from the greatest:
what 95 % of a chi-square distribution of one degree of freedom allow (1.92)."""

_ANY_RATE = 0.5
"""Deviation of each rate from none, before anything is measured, as a share of the latencies that
it could explain alone.  So many rates explain a few measurements well by themselves, which then
tell little about the deviations of operators."""

_RATE_DEVIATION = 1.0
"""Relative deviation of a whole rate, before measurements narrow it."""

_UNSEEN_RATE = 0.3
"""Least deviation of a rate, as a share of the latencies that it could explain alone.  Wide, so
that a few measurements, which many rates explain, do not pass for certainty."""


def fitted(
    features: Features, first: Index, end: Index, latency: Array, near_ns: float = 0.0
) -> Basis:
    """What measured segments, by numbers of places and positive nanoseconds, let one believe.

    ``near_ns``: how long those take at most that are in question (0: as long as any).
    """
    design = features.design(first, end)
    rates, unsure = _fit_rates(design, latency)
    measured = Deviations(features, rates, unsure, first, end)
    apart, _ = measured.covariance_parts(first, end, design)
    apart /= np.outer(latency, latency)
    relative = design / latency[:, None]
    shares = relative / np.maximum(relative.max(axis=0), np.finfo(np.float64).tiny)
    explained = _ANY_RATE**2 * shares @ shares.T
    own = np.eye(len(latency))
    explained += np.diag(afar(latency, near_ns) ** 2)

    def likelihood(scale: float, noise: float) -> float:
        return _log_likelihood(scale**2 * apart + explained + noise**2 * own)

    found = {pair: likelihood(*pair) for pair in product(_SCALES, _NOISES)}
    likely = max(found.values()) - _LIKELY
    scale = max(scale for (scale, _), value in found.items() if value >= likely)
    noise = max(_NOISES, key=lambda noise: found[scale, noise])
    told = tuple(map(float, rates)), tuple(map(float, unsure))
    return Basis(features.names, *told, scale, noise, near_ns)


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


def _log_likelihood(covariance: Array) -> float:
    """Of latencies relative to themselves, under a normal distribution, up to a constant."""
    # The factor of both together has the ones, whitened, as its last row.
    ones = np.ones((len(covariance), 1))
    most = np.full((1, 1), 1.0 + len(ones) / min(_NOISES) ** 2)
    *_, whitened = lower = np.linalg.cholesky(np.block([[covariance, ones], [ones.T, most]]))
    return float(-0.5 * whitened[:-1] @ whitened[:-1] - np.log(np.diag(lower)[:-1]).sum())
