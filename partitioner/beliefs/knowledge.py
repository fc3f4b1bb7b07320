"""Everything measured so far, and what it implies for every segment."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from partitioner.beliefs.cost_model import CostModel, Prediction
from partitioner.problem import (
    Array,
    Features,
    Guard,
    Ideals,
    Index,
    Line,
    Mask,
    Places,
    Range,
    RowTable,
    SegmentFeatures,
    Segments,
    SetFeatures,
)
from partitioner.solving import Solution, best_cuts

_SIGMAS = 3.0
"""Standard deviations between what the cost model expects and its bound, at least."""

_FEW = 4.0
"""With as few measurements as this the standard deviations granted double: the scale of the
deviations is estimated from the same measurements (compare Student's t)."""

_SMALL = 200.0
"""With as few segments in all as this the standard deviations and the margin granted double:
measuring a few more costs little there."""

_CAUTION = 1.5
"""How much worse the unseen may be than the worst seen."""

_FITTED_RATES_MARGIN = 0.05
"""Taken off bounds from measured parts when the boundary's share is fitted and not known.

Streaming grows by steps (whole layers; large ones repeatedly), which is not quite what the
assumption says.  Of 640 searches over random and real models, all segments of which were known,
none missed the optimum with 0.03, 0.05 or 0.1.
"""

_UNLIKELY = 10.0
"""Segments containing one that does not compile are tried last, as if this much slower."""


@dataclass(frozen=True, eq=False)
class Beliefs:
    """``lower <= expected <= upper`` for each of ``segments``, all equal where it was measured.

    In nanoseconds, ``inf`` for segments that do not compile.
    """

    segments: Segments
    lower: Array
    expected: Array
    upper: Array


@dataclass(frozen=True, eq=False)
class _Parts:
    """Bounds from measured segments within and around others, for one guess at the boundary."""

    rates: Array
    inside: RowTable
    around: RowTable


class Knowledge:
    """Measured latencies between places, and the beliefs that follow from them.

    With ``features`` the cost model bounds what was not measured; without, it only suggests
    what to measure next and the bounds rest on measured parts alone.
    """

    def __init__(self, places: Places, features: Features | None) -> None:
        self._places = places
        self._total = max(1, places.distinct_segments)
        self._latency: dict[tuple[int, int], float] = {}
        self._bounded_by_model = features is not None
        self._features: Features = features or _counting(places)
        self._model = CostModel(self._features)
        self._inference: _Inference | None = None

    def observe(self, segment: Range, latency_ns: int | None) -> None:
        """Record a measurement; ``None`` says that the segment does not compile.

        Nothing is made of segments that lie between no two places.
        """
        key = self._places.find(segment)
        if key is None:
            return
        self._latency[key] = np.inf if latency_ns is None else float(latency_ns)
        self._inference = None

    def __len__(self) -> int:
        """How many segments were asked for, whether they compiled or not."""
        return len(self._latency)

    def latency(self, segment: Range) -> float | None:
        """What was measured (``inf``: does not compile), ``None`` if nothing was."""
        key = self._places.find(segment)
        return None if key is None else self._latency.get(key)

    def measured_segments(self) -> tuple[Index, Index]:
        """First and end place of everything asked for, wherever it can be."""
        return self._places.wherever(*_columns(list(self._latency)))[:2]

    def answers(self) -> list[tuple[Range, int | None]]:
        """Everything asked for, by operators, and its latency (``None``: does not compile)."""
        return sorted(
            (
                self._places.operators(first, end),
                int(latency) if np.isfinite(latency) else None,
            )
            for (first, end), latency in self._latency.items()
        )

    def best(self, num_segments: int, allowed: Mask | None, tolls: Array | None) -> Solution | None:
        """The best cut made of measured segments alone."""
        runs = sorted((key, value) for key, value in self._latency.items() if np.isfinite(value))
        first, end = _columns([key for key, _ in runs])
        costs = np.array([value for _, value in runs], dtype=np.float64)
        first, end, which = self._places.wherever(first, end)
        order = np.lexsort((end, first))
        segments = Segments(len(self._places), first[order], end[order])
        return best_cuts(segments, costs[which[order]], num_segments, allowed=allowed, tolls=tolls)

    @property
    def guard(self) -> Guard:
        """How well the assumptions hold for what was measured."""
        return Guard() if not self._runs() else self._infer().guard

    def bound_by_parts(self, segments: Segments) -> Array:
        """Lower bounds that cost little: from measured parts alone, ``inf`` where none compiles."""
        if not self._runs():
            lower = np.zeros(len(segments))
        else:
            inference = self._infer()
            lower, _ = inference.from_parts(self._features, segments, upper=False)
        self._fill_in(segments, lower)
        return lower

    def beliefs(self, segments: Segments) -> Beliefs:
        """What the measurements so far say about the segments given."""
        if self._runs():
            inference = self._infer()
            lower, upper = inference.from_parts(self._features, segments, upper=True)
            expected, deviation = inference.prediction.at(segments.first, segments.end)
            if self._bounded_by_model:
                lower = np.maximum(lower, expected - inference.sigmas * deviation)
                upper = np.minimum(upper, expected + inference.sigmas * deviation)
        else:
            lower = np.zeros(len(segments))
            expected = (segments.end - segments.first).astype(np.float64)
            upper = np.full(len(segments), np.inf)
        upper = np.maximum(upper, lower)
        expected = np.clip(expected, lower, upper)
        for (first, end), latency in self._latency.items():
            if not np.isfinite(latency):
                around = self._places.around(segments, first, end)
                expected[around] = np.maximum(expected[around], lower[around]) * _UNLIKELY
        for values in (lower, expected, upper):
            self._fill_in(segments, values)
        return Beliefs(segments, lower, expected, upper)

    def _runs(self) -> bool:
        return any(np.isfinite(latency) for latency in self._latency.values())

    def _fill_in(self, segments: Segments, values: Array) -> None:
        """Put what was measured in its place."""
        keys = list(self._latency)
        if keys:
            first, end, which = self._places.wherever(*_columns(keys))
            at, here = segments.find(first, end)
            values[at[here]] = np.array(list(self._latency.values()))[which[here]]

    def _infer(self) -> _Inference:
        """What follows from the measurements for every segment, worked out once for each set."""
        if self._inference is None:
            runs = [(key, value) for key, value in self._latency.items() if np.isfinite(value)]
            first, end = _columns([key for key, _ in runs])
            # A latency of 0 can only come from a table; relative errors need a positive one.
            latency = np.maximum(np.array([value for _, value in runs]), 1.0)
            prediction = self._model.fit(first, end, latency)
            guard = Guard(worst_model_error=prediction.worst_error)
            sigmas = 0.0
            if self._bounded_by_model:
                sigmas = _SIGMAS * (1.0 + _FEW / len(latency)) * (1.0 + _SMALL / self._total)
                sigmas = max(sigmas, _CAUTION * prediction.worst_sigmas)
                rates = [prediction.boundary_rates]
                for axis in prediction.boundary_axes:
                    rates += [rates[0] + sigmas * axis, rates[0] - sigmas * axis]
                plausible = [np.maximum(r, 0.0) for r in rates]
                margin = _FITTED_RATES_MARGIN * (1.0 + _SMALL / self._total)
                guard = replace(guard, model_sigmas=sigmas)
                columns = self._features.boundary_columns(first, end)
            else:
                # One constant that no latency is below, whatever the boundary.
                plausible = [np.array([latency.min()])]
                margin = 0.0
                columns = np.ones((len(latency), 1))
            parts = []
            for index, rate in enumerate(plausible):
                own = columns @ rate
                inside = np.maximum(latency - own, 0.0)
                packing = self._places.pack(first, end, inside)
                if index == 0:  # the guard's numbers are for the likeliest
                    checked = packing.from_parts > 0.0
                    excess = (own + packing.from_parts) / latency - 1.0
                    violation = float(excess[checked].max(initial=0.0))
                    guard = replace(guard, nested=int(checked.sum()), worst_violation=violation)
                    margin += _CAUTION * violation
                around = self._places.smallest_container(first, end, inside)
                parts.append(_Parts(rate, packing.inside, around))
            self._inference = _Inference(
                prediction, tuple(parts), sigmas, margin, guard, self._bounded_by_model
            )
        return self._inference


@dataclass(frozen=True, eq=False)
class _Inference:
    """Everything that has to be worked out once per set of measurements."""

    prediction: Prediction
    parts: tuple[_Parts, ...]
    sigmas: float
    margin: float
    guard: Guard
    fitted_boundary: bool

    def from_parts(
        self, features: Features, segments: Segments, *, upper: bool
    ) -> tuple[Array, Array]:
        """Lower bounds from the segments measured within, upper ones from those around.

        The loosest over all guesses at the boundary's rates that are plausible.
        """
        first, end = segments.first, segments.end
        if self.fitted_boundary:
            columns = features.boundary_columns(first, end)
        else:
            columns = np.ones((len(first), 1))
        low, high = np.full(len(first), np.inf), np.zeros(len(first))
        for part in self.parts:
            boundary = columns @ part.rates
            np.minimum(low, boundary + part.inside.at(first, end), out=low)
            if upper:
                np.maximum(high, boundary + part.around.at(first, end), out=high)
        return low * max(0.0, 1.0 - self.margin), high * (1.0 + self.margin)


def _counting(places: Places) -> Features:
    """Features for operators about which nothing is known."""
    if isinstance(places, Line):
        return SegmentFeatures.counting(places.positions)
    assert isinstance(places, Ideals), "there are two kinds of places"
    return SetFeatures.counting(places)


def _columns(keys: list[tuple[int, int]]) -> tuple[Index, Index]:
    table = np.array(keys, dtype=np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]
