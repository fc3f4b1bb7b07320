"""Everything measured so far, and what it implies for every segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partitioner.beliefs.cost_model import CostModel, Prediction
from partitioner.problem import (
    CAUTION,
    SMALL,
    Array,
    Basis,
    Features,
    Guard,
    Ideals,
    Index,
    Line,
    Mask,
    PartBounds,
    Places,
    Range,
    SegmentFeatures,
    Segments,
    SetFeatures,
)
from partitioner.solving import Solution, best_cuts

_SIGMAS = 3.0
"""Standard deviations between what the cost model expects and what is not worth measuring."""

_FEW = 4.0
"""With as few measurements as this the standard deviations granted double: the scale of the
deviations is estimated from the same measurements (compare Student's t)."""

_UNLIKELY = 10.0
"""Segments containing one that does not compile are tried last, as if this much slower."""


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What each of ``segments`` takes, in nanoseconds; ``inf`` where it does not compile.

    ``lower`` and ``upper`` are what claims are made of: they follow from what was measured and the
    rates of the boundary.  ``low <= expected <= high``, within them, is what the cost model has to
    say, which tells what is worth measuring.  All are equal where it was measured.
    """

    segments: Segments
    lower: Array
    low: Array
    expected: Array
    high: Array
    upper: Array

    def where(self, mask: Mask) -> Beliefs:
        """Those on the segments for which ``mask`` is true."""
        values = (self.lower, self.low, self.expected, self.high, self.upper)
        return Beliefs(self.segments.where(mask), *(value[mask] for value in values))


class Knowledge:
    """Measured latencies between places, and the beliefs that follow from them.

    Bounds rest on measured parts and on what the boundary costs: with ``features``, at rates
    fitted; without, one constant.  The cost model says what to measure next.
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

    @property
    def basis(self) -> Basis | None:
        """What the bounds rest on beside the measurements; ``None`` before there are any."""
        if not self._runs():
            return None
        return self._infer().basis

    def bound_by_parts(self, segments: Segments) -> Array:
        """Lower bounds that cost little: from measured parts alone, ``inf`` where none compiles."""
        if not self._runs():
            lower = np.zeros(len(segments))
        else:
            lower, _ = self._infer().parts.at(segments, upper=False)
        self._fill_in(segments, lower)
        return lower

    def beliefs(self, segments: Segments) -> Beliefs:
        """What the measurements so far say about the segments given."""
        if self._runs():
            inference = self._infer()
            lower, upper = inference.parts.at(segments)
            expected, deviation = inference.prediction.at(segments.first, segments.end)
            spread = inference.sigmas * deviation if self._bounded_by_model else np.inf
            low, high = expected - spread, expected + spread
        else:
            lower, low = np.zeros(len(segments)), np.zeros(len(segments))
            expected = (segments.end - segments.first).astype(np.float64)
            upper, high = np.full(len(segments), np.inf), np.full(len(segments), np.inf)
        expected = np.clip(expected, lower, upper)
        for (first, end), latency in self._latency.items():
            if not np.isfinite(latency):
                around = self._places.around(segments, first, end)
                expected[around] = np.maximum(expected[around], lower[around]) * _UNLIKELY
        for values in (lower, low, expected, high, upper):
            self._fill_in(segments, values)
        return Beliefs(segments, lower, low, expected, high, upper)

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
            sigmas = 0.0
            if self._bounded_by_model:
                sigmas = _SIGMAS * (1.0 + _FEW / len(latency)) * (1.0 + SMALL / self._total)
                sigmas = max(sigmas, CAUTION * prediction.worst_sigmas)
                rates = [prediction.boundary_rates]
                for axis in prediction.boundary_axes:
                    rates += [rates[0] + sigmas * axis, rates[0] - sigmas * axis]
                plausible = dict.fromkeys(tuple(np.maximum(r, 0.0).tolist()) for r in rates)
                basis = Basis(tuple(plausible), fitted=True)
            else:
                # One constant that no latency is below, whatever the boundary.
                basis = Basis(((float(latency.min()),),), fitted=False)
            parts = PartBounds.of(self._places, self._features, basis, first, end, latency)
            guard = Guard(
                nested=parts.nested,
                worst_violation=parts.worst_violation,
                worst_model_error=prediction.worst_error,
                model_sigmas=sigmas or None,
            )
            self._inference = _Inference(prediction, basis, parts, sigmas, guard)
        return self._inference


@dataclass(frozen=True, eq=False)
class _Inference:
    """Everything that has to be worked out once per set of measurements."""

    prediction: Prediction
    basis: Basis
    parts: PartBounds
    sigmas: float
    guard: Guard


def _counting(places: Places) -> Features:
    """Features for operators about which nothing is known."""
    if isinstance(places, Line):
        return SegmentFeatures.counting(places.positions)
    assert isinstance(places, Ideals), "there are two kinds of places"
    return SetFeatures.counting(places)


def _columns(keys: list[tuple[int, int]]) -> tuple[Index, Index]:
    table = np.array(keys, dtype=np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]
