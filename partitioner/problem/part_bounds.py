"""Bounds on all segments from measured ones, under the assumption of :mod:`..problem.bounds`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from partitioner.problem.arrays import Array, Index
from partitioner.problem.basis import Basis, margin_granted
from partitioner.problem.bounds import RowTable
from partitioner.problem.features import Features
from partitioner.problem.places import Places
from partitioner.problem.ranges import Range
from partitioner.problem.segments import Segments


@dataclass(frozen=True, eq=False)
class _Guess:
    """What follows from one guess at the boundary's rates."""

    rates: Array
    inside: RowTable
    around: RowTable


@dataclass(frozen=True, eq=False)
class PartBounds:
    """Everything that has to be worked out once per set of measurements.

    ``nested``: measured segments that hold others, of which none was faster than its parts allow
    by more than ``worst_violation``, relative to its latency; ``margin``: taken off every bound.
    """

    nested: int
    worst_violation: float
    margin: float
    _features: Features | None
    _guesses: Sequence[_Guess]

    @classmethod
    def of(
        cls,
        places: Places,
        features: Features | None,
        basis: Basis,
        first: Index,
        end: Index,
        latency: Array,
    ) -> PartBounds:
        """From segments by their places and latencies, positive ns.

        The likeliest rates come first in ``basis``; the guard's numbers are for those.
        """
        known = features if basis.fitted else None
        columns = _columns(known, first, end)
        nested, violation = 0, 0.0
        guesses: list[_Guess] = []
        for rates in map(np.array, basis.rates):
            own = columns @ rates
            inside = np.maximum(latency - own, 0.0)
            packing = places.pack(first, end, inside)
            if not guesses:
                holds = packing.from_parts > 0.0
                nested = int(holds.sum())
                excess = (own + packing.from_parts) / latency - 1.0
                violation = float(excess[holds].max(initial=0.0))
            around = places.smallest_container(first, end, inside)
            guesses.append(_Guess(rates, packing.inside, around))
        total = max(1, places.distinct_segments)
        margin = margin_granted(total, violation, fitted=basis.fitted)
        return cls(nested, violation, margin, known, guesses)

    def at(self, segments: Segments, *, upper: bool = True) -> tuple[Array, Array]:
        """Lower bounds from the segments measured within, upper ones from those around.

        The loosest over all guesses at the boundary's rates that are plausible.
        """
        first, end = segments.first, segments.end
        columns = _columns(self._features, first, end)
        low, high = np.full(len(first), np.inf), np.zeros(len(first))
        for guess in self._guesses:
            boundary = columns @ guess.rates
            np.minimum(low, boundary + guess.inside.at(first, end), out=low)
            if upper:
                np.maximum(high, boundary + guess.around.at(first, end), out=high)
        low *= max(0.0, 1.0 - self.margin)
        return low, np.maximum(low, high * (1.0 + self.margin))


def bounds_on_all(
    places: Places,
    features: Features | None,
    rates: Sequence[Sequence[float]] | None,
    known: Mapping[Range, int | None],
) -> tuple[Array, Array, Array, float]:
    """Lower and upper bounds on all segments, what was measured, and the worst violation.

    ``known``: latencies (``None``: does not compile); ``rates``: as in a :class:`Basis`, without
    features the least latency takes their place, and without rates nothing but 0 and infinity is
    said of what was not measured (``inf`` there in what was measured).
    """
    segments = places.segments()
    low, (up, taken), worst = np.zeros(len(segments)), np.full((2, len(segments)), np.inf), 0.0
    found = ((places.find(segment), ns) for segment, ns in known.items())
    pairs = {at: np.inf if ns is None else float(ns) for at, ns in found if at is not None}
    every, times = np.array(list(pairs), np.intp).reshape(-1, 2), np.array(list(pairs.values()))
    runs = np.isfinite(times)
    if rates is not None and runs.any():
        first, end = every[runs].T
        latency, fitted = np.maximum(times[runs], 1.0), features is not None
        guesses = rates if fitted else [[float(latency.min())]]
        basis = Basis(tuple(tuple(max(0.0, r) for r in guess) for guess in guesses), fitted)
        parts = PartBounds.of(places, features, basis, first, end, latency)
        (low, up), worst = parts.at(segments), parts.worst_violation
    first, end, which = places.wherever(*every.T)
    at, here = segments.find(first, end)
    for values in (low, up, taken):
        values[at[here]] = times[which[here]]
    return low, up, taken, worst


def _columns(features: Features | None, first: Index, end: Index) -> Array:
    """What the boundary's rates are multiplied with."""
    return np.ones((len(first), 1)) if features is None else features.boundary_columns(first, end)
