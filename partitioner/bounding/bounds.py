"""Bounds on the latencies of all segments, from measured ones and a basis.

A bound is the better one of two.  One is of the measured parts within a segment, less a margin,
under the assumption of :mod:`partitioner.problem.bounds`; the other lies some standard deviations
below what is expected of it (:mod:`partitioner.bounding.kriging`).  Margin and deviations grow with
how badly either assumption did where it can be checked: on measured segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from partitioner.bounding.kriging import Kriging
from partitioner.bounding.telling import afar
from partitioner.problem import (
    Array,
    Basis,
    Features,
    Guard,
    Index,
    Line,
    Places,
    RowTable,
    Segments,
)

_SIGMAS = 3.0
"""Standard deviations between what is expected and its bound, at least."""

_FEW = 4.0
"""With as few measurements as this the standard deviations granted double: the scale of the
deviations is estimated from the same measurements (compare Student's t)."""

_SMALL = 120.0
"""With as few segments in all as this the standard deviations and the margin granted double:
measuring a few more costs little there, and without, operators that take what no feature tells made
2 of 250 proofs false, and with a third as many 1 (``scripts/checks/check_branches.py``)."""

_COUNTED = 820.0
"""Segments of the problems on which it was counted how often proofs hold
(``scripts/checks/proofs/false_proofs.py``).  Where single segments scatter and there are more of
them, some are further off, which is allowed for (:func:`_many`)."""

_CAUTION = 1.5
"""How much worse the unseen may be than the worst seen."""

_FITTED_RATES_MARGIN = 0.05
"""Taken off bounds from measured parts when the boundary's share is fitted and not known.

Streaming grows by steps (whole layers; large ones repeatedly), which is not quite what the
assumption says.  Of 640 searches over random and real models, all segments of which were known,
none missed the optimum with 0.03, 0.05 or 0.1.
"""

_UNCHECKED_MARGIN = 0.5
"""Taken off them at least while no measured segment lies within another: nothing has checked what
they assume.  On 120 random graphs (``scripts/checks/check_branches.py``) it cost 10 more
measurements of 3,494 and took away the one false proof."""

_SCATTER_MARGIN = 3.0
"""Taken off them, too, for each part of a latency that segments scatter by beyond the least there
is to choose from: a segment may be fast by chance where its parts were slow by chance."""

_LEAST_NOISE = 0.002
"""What stands for no scatter."""

_PART = 65_536
"""Segments worked out at once, which bounds memory."""


@dataclass(frozen=True, eq=False)
class _Guess:
    """What follows from measured parts at one guess at the boundary's rates."""

    rates: Array
    left: Array
    inside: RowTable
    around: RowTable


@dataclass(frozen=True, eq=False)
class Bounds:
    """All that has to be worked out once for a set of measurements.

    ``guard`` says how well the assumptions held, ``margin`` is what is taken off bounds from parts.
    """

    guard: Guard
    margin: float
    kriging: Kriging | None
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
    ) -> Bounds:
        """From segments by their places and latencies, positive ns.

        With :data:`~partitioner.problem.ALIKE` as the basis, ``features`` do not matter.
        """
        total = max(1, places.distinct_segments)
        kriging, sigmas, margin = None, None, 0.0
        plausible = [np.array([latency.min()])]
        if basis.features:
            assert features is not None, "a basis speaks of features"
            kriging = Kriging.of(features, basis, first, end, latency)
            small, scatter = 1.0 + _SMALL / total, max(0.0, basis.noise - _LEAST_NOISE)
            sigmas = _SIGMAS * (1.0 + _FEW / len(latency)) * small
            if scatter:
                sigmas *= _many(total)
            sigmas = max(sigmas, _CAUTION * kriging.worst_sigmas)
            likeliest = kriging.boundary_rates
            plausible = [likeliest]
            for axis in kriging.boundary_axes:
                plausible += [likeliest + sigmas * axis, likeliest - sigmas * axis]
            margin = _FITTED_RATES_MARGIN * small + _SCATTER_MARGIN * _many(total) * scatter
        known = None if kriging is None else features
        columns = _columns(known, first, end)
        nested, violation = 0, 0.0
        guesses: list[_Guess] = []
        for rates in plausible:
            own = columns @ np.maximum(rates, 0.0)
            inside = np.maximum(latency - own, 0.0)
            packing = places.pack(first, end, inside)
            if not guesses:  # the guard's numbers are for the likeliest
                holds = packing.from_parts > 0.0
                nested = int(holds.sum())
                excess = (own + packing.from_parts) / latency - 1.0
                excess -= afar(latency, basis.near_ns)
                violation = float(excess[holds].max(initial=0.0))
            around = places.smallest_container(first, end, inside)
            guesses.append(_Guess(np.maximum(rates, 0.0), inside, packing.inside, around))
        guard = Guard(nested, violation)
        if kriging is not None:
            guard = Guard(nested, violation, kriging.worst_error, sigmas, basis.noise)
        if kriging is not None and not nested:
            margin = max(margin, _UNCHECKED_MARGIN)
        return cls(guard, margin + _CAUTION * violation, kriging, known, guesses)

    def from_parts(self, segments: Segments) -> Array:
        """Lower bounds from the segments measured within.

        The loosest over all guesses at the boundary's rates that are plausible.
        """
        columns = _columns(self._features, segments.first, segments.end)
        return self._from_parts(segments.first, segments.end, columns)

    def _from_parts(self, first: Index, end: Index, columns: Array) -> Array:
        inside = self._guesses[0].inside.entry(first, end)
        low = np.full(len(first), np.inf)
        for guess in self._guesses:
            np.minimum(low, columns @ guess.rates + guess.inside.rows.take(inside), out=low)
        return low * max(0.0, 1.0 - self.margin)

    def _from_around(self, first: Index, end: Index, columns: Array) -> Array:
        """Upper bounds likewise."""
        around = self._guesses[0].around.entry(first, end)
        high = np.zeros(len(first))
        for guess in self._guesses:
            np.maximum(high, columns @ guess.rates + guess.around.rows.take(around), out=high)
        return high * (1.0 + self.margin)

    def last_ends(self, ceiling: float) -> Index:
        """By first place an end behind which no segment's lower bound is within the ``ceiling``.

        There what was measured within it is above, to which its boundary only adds.
        """
        share = max(0.0, 1.0 - self.margin)
        last = [guess.inside.last(guess.inside.rows * share <= ceiling) for guess in self._guesses]
        return np.asarray(np.max(last, axis=0))

    def from_parts_along(self, boundary: Array, line: Line, parts: Segments, at: Segments) -> Array:
        """The lower ones where only places along a ``line`` are told apart.

        ``boundary``: by segment asked for (``at``), the least that the rates of the boundary are
        multiplied with.  ``parts``: the places that each measured segment lies between.
        """
        low = np.full(len(at), np.inf)
        for guess in self._guesses:
            packed = line.pack(parts.first, parts.end, guess.left).inside
            np.minimum(low, boundary @ guess.rates + packed.at(at.first, at.end), out=low)
        return low * max(0.0, 1.0 - self.margin)

    def at(self, segments: Segments) -> tuple[Array, Array, Array | None]:
        """Lower and upper bounds, and what is expected, where a basis lets one expect anything."""
        lower, upper, expected = np.zeros((3, len(segments)))
        for low in range(0, len(segments), _PART):
            part = slice(low, low + _PART)
            first, end = segments.first[part], segments.end[part]
            columns = np.ones((len(first), 1))
            if self.kriging is not None:
                assert self._features is not None, "a basis speaks of them"
                assert self.guard.model_sigmas is not None, "it comes with a basis"
                design = self._features.design(first, end)
                columns = design[:, : len(self._features.boundary_names)]
                expected[part], deviation = self.kriging.at(first, end, design)
                deviation *= self.guard.model_sigmas
                lower[part], upper[part] = expected[part] - deviation, expected[part] + deviation
            else:
                lower[part], upper[part] = 0.0, np.inf
            np.maximum(lower[part], self._from_parts(first, end, columns), out=lower[part])
            np.minimum(upper[part], self._from_around(first, end, columns), out=upper[part])
        np.maximum(lower, upper, out=upper)
        return lower, upper, None if self.kriging is None else expected


def _many(segments: int) -> float:
    """How much further off the furthest of so many segments is than of :data:`_COUNTED` ones.

    Of normally distributed deviations, of which a share of exp(-x^2 / 2) are beyond x.
    """
    return sqrt(1.0 + 2.0 * log(max(1.0, segments / _COUNTED)) / _SIGMAS**2)


def _columns(features: Features | None, first: Index, end: Index) -> Array:
    """What the boundary's rates are multiplied with."""
    return np.ones((len(first), 1)) if features is None else features.boundary_columns(first, end)
