"""Everything measured so far, and what it implies for every segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partitioner.beliefs.cost_model import fitted
from partitioner.beliefs.measurements import Measurements
from partitioner.bounding import MOST_TOLD, Bounds, Kriging, telling
from partitioner.problem import (
    ALIKE,
    Array,
    Basis,
    Features,
    Guard,
    Mask,
    Places,
    Range,
    Segments,
)

_SHARE_BEFORE_TOLD = 0.5
"""Of very many measurements, so many more than were told to the model are told it again."""

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

    def where(self, mask: Mask) -> Beliefs:
        """The same of the segments for which ``mask`` is true."""
        return Beliefs(
            self.segments.where(mask), self.lower[mask], self.expected[mask], self.upper[mask]
        )


class Knowledge:
    """Measured latencies between places, and the beliefs that follow from them.

    With ``features`` the cost model bounds what was not measured; without, it only suggests
    what to measure next and the bounds rest on measured parts alone.
    """

    def __init__(self, places: Places, features: Features | None) -> None:
        self._places = places
        self._measurements = Measurements(places)
        self._bounded_by_model = features is not None
        self._features: Features = features or Features.counting(places)
        self._inference: _Inference | None = None
        self._believed: Beliefs | None = None
        """What the inference said last, where it was measured what that told."""
        self._near_ns = 0.0

    def observe(self, segment: Range, latency_ns: int | None) -> None:
        """Record a measurement; ``None`` says that the segment does not compile.

        Nothing is made of segments that lie between no two places.
        """
        key = self._places.find(segment)
        if key is None:
            return
        self._measurements.add(*key, np.inf if latency_ns is None else float(latency_ns))
        told = 0 if self._inference is None else self._inference.told
        if len(self) <= MOST_TOLD or len(self) > (1.0 + _SHARE_BEFORE_TOLD) * told:
            self.tell()

    def near(self, latency_ns: float) -> None:
        """Only segments that take no longer are in question from now on."""
        if latency_ns != self._near_ns:
            self._near_ns = latency_ns
            self._inference = self._believed = None

    def tell(self) -> bool:
        """Have beliefs follow from all measurements; whether they did."""
        if self._inference is not None and self._inference.told < len(self):
            self._inference = self._believed = None
            return False
        return True

    def __len__(self) -> int:
        """How many segments were asked for, whether they compiled or not."""
        return len(self._measurements)

    def latency(self, segment: Range) -> float | None:
        """What was measured (``inf``: does not compile), ``None`` if nothing was."""
        key = self._places.find(segment)
        return None if key is None else self._measurements.get(key)

    def measured(self) -> tuple[Segments, Array]:
        """What was measured and compiles, wherever it can be, and the latencies, ns."""
        segments, latency = self._measurements.everywhere()
        runs = np.isfinite(latency)
        return segments.where(runs), latency[runs]

    @property
    def guard(self) -> Guard:
        """How well the assumptions hold for what was measured."""
        return Guard() if not self._runs() else self._infer().bounds.guard

    @property
    def basis(self) -> Basis | None:
        """What the bounds rest on beside the measurements; ``None`` before there are any."""
        if not self._runs():
            return None
        return self._infer().basis if self._bounded_by_model else ALIKE

    def within(self, ceiling: float) -> Segments:
        """All segments but those above by bounds that cost little: from measured parts alone."""
        last = self._infer().bounds.last_ends(ceiling) if self._runs() else None

        def may_be(part: Segments) -> Mask:
            lower = np.zeros(len(part))
            if self._runs():
                lower = self._infer().bounds.from_parts(part)
            self._measurements.fill_in(part, lower)
            return lower <= ceiling

        return Segments.chosen(self._places.parts(last), may_be)

    def beliefs(self, segments: Segments) -> Beliefs:
        """What the measurements so far say about the segments given."""
        believed = self._believe(segments)
        lower, expected, upper = believed.lower, believed.expected, believed.upper
        failed = self._measurements.failed()
        if failed:
            expected = expected.copy()
            for first, end in failed:
                around = self._places.around(segments, first, end)
                expected[around] = np.maximum(expected[around], lower[around]) * _UNLIKELY
        self._measurements.fill_in(segments, lower, expected, upper)
        return Beliefs(segments, lower, expected, upper)

    def _believe(self, segments: Segments) -> Beliefs:
        """What follows from the measurements told to the model."""
        last = self._believed
        if last is not None and self._inference is not None:
            at, here = last.segments.find(segments.first, segments.end)
            if here.all():
                self._believed = Beliefs(
                    segments, last.lower[at], last.expected[at], last.upper[at]
                )
                return self._believed
        if self._runs():
            inference = self._infer()
            lower, upper, expected = inference.bounds.at(segments)
            if expected is None:
                expected, _ = inference.kriging.at(segments.first, segments.end)
        else:
            lower = np.zeros(len(segments))
            expected = (segments.end - segments.first).astype(np.float64)
            upper = np.full(len(segments), np.inf)
        np.clip(expected, lower, upper, out=expected)
        self._believed = Beliefs(segments, lower, expected, upper)
        return self._believed

    def _runs(self) -> bool:
        return len(self) > len(self._measurements.failed())

    def _infer(self) -> _Inference:
        """What follows from the measurements for every segment, worked out once for each set."""
        if self._inference is None:
            first, end, latency = self._measurements.runs()
            told = telling(len(latency))
            first, end = first[told], end[told]
            # A latency of 0 can only come from a table; relative errors need a positive one.
            latency = np.maximum(latency[told], 1.0)
            basis = fitted(self._features, first, end, latency, self._near_ns)
            bounds = Bounds.of(
                self._places,
                self._features,
                basis if self._bounded_by_model else ALIKE,
                first,
                end,
                latency,
            )
            kriging = bounds.kriging or Kriging.of(self._features, basis, first, end, latency)
            self._inference = _Inference(basis, kriging, bounds, len(self))
        return self._inference


@dataclass(frozen=True, eq=False)
class _Inference:
    """Everything that has to be worked out once per set of measurements, ``told`` of them."""

    basis: Basis
    kriging: Kriging
    bounds: Bounds
    told: int
