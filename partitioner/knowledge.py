"""Everything measured so far, and what it implies for every segment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from partitioner.bounds import pack, smallest_container
from partitioner.cost_model import CostModel
from partitioner.features import SegmentFeatures
from partitioner.problem import Guard, Range

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_SIGMAS = 3.0
"""Standard deviations between what the cost model expects and its bound, at least."""

_FEW = 4.0
"""With as few measurements as this the standard deviations granted double: the scale of the
deviations is estimated from the same measurements (compare Student's t)."""

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
    """``lower <= expected <= upper`` for every segment, all equal where it was measured.

    ``m x m`` tables over cut positions in nanoseconds, ``inf`` on and below the diagonal and for
    segments that do not compile.
    """

    lower: Array
    expected: Array
    upper: Array
    guard: Guard


class Knowledge:
    """Measured latencies between cut positions, and the beliefs that follow from them.

    With ``features`` the cost model bounds what was not measured; without, it only suggests
    what to measure next and the bounds rest on measured parts alone.
    """

    def __init__(self, positions: tuple[int, ...], features: SegmentFeatures | None) -> None:
        self._m = len(positions)
        self._index = {position: i for i, position in enumerate(positions)}
        self._latency: dict[tuple[int, int], float] = {}
        self._bounded_by_model = features is not None
        self._model = CostModel(features or SegmentFeatures.counting(positions))
        self._above = np.triu(np.ones((self._m, self._m), dtype=np.bool_), 1)

    def observe(self, segment: Range, latency_ns: int | None) -> None:
        """Record a measurement; ``None`` says that the segment does not compile."""
        key = (self._index[segment[0]], self._index[segment[1]])
        self._latency[key] = np.inf if latency_ns is None else float(latency_ns)

    def __len__(self) -> int:
        """How many segments were asked for, whether they compiled or not."""
        return len(self._latency)

    def latency(self, segment: Range) -> float | None:
        """What was measured (``inf``: does not compile), ``None`` if nothing was."""
        return self._latency.get((self._index[segment[0]], self._index[segment[1]]))

    def measured(self) -> Array:
        """Costs (``m x m``) with ``inf`` for every segment that was not measured."""
        costs = np.full((self._m, self._m), np.inf)
        for key, latency in self._latency.items():
            costs[key] = latency
        return costs

    def beliefs(self) -> Beliefs:
        """What the measurements so far say about every segment."""
        runs = [(key, latency) for key, latency in self._latency.items() if np.isfinite(latency)]
        if runs:
            first = np.array([key[0] for key, _ in runs], dtype=np.intp)
            end = np.array([key[1] for key, _ in runs], dtype=np.intp)
            # A latency of 0 can only come from a table; relative errors need a positive one.
            latency = np.maximum(np.array([value for _, value in runs]), 1.0)
            lower, expected, upper, guard = self._infer(first, end, latency)
        else:
            lower = np.zeros((self._m, self._m))
            expected = np.asarray(
                np.subtract.outer(np.arange(self._m), np.arange(self._m)).T, dtype=np.float64
            )
            upper = np.full((self._m, self._m), np.inf)
            guard = Guard()
        lower = np.where(self._above, lower, np.inf)
        upper = np.maximum(np.where(self._above, upper, np.inf), lower)
        expected = np.clip(expected, lower, upper) * self._doubts()
        for key, value in self._latency.items():
            lower[key] = expected[key] = upper[key] = value
        return Beliefs(lower, expected, upper, guard)

    def _infer(self, first: Index, end: Index, latency: Array) -> tuple[Array, Array, Array, Guard]:
        prediction = self._model.fit(first, end, latency)
        expected = prediction.mean
        guard = Guard(worst_model_error=prediction.worst_error)
        if not self._bounded_by_model:
            constant = [np.full(expected.shape, latency.min())]
            lower, upper, nested, violation = self._from_parts(first, end, latency, constant, 0.0)
            return lower, expected, upper, replace(guard, nested=nested, worst_violation=violation)
        sigmas = _SIGMAS * (1.0 + _FEW / len(latency))
        sigmas = max(sigmas, _CAUTION * prediction.worst_sigmas)
        rates = [prediction.boundary_rates]
        for axis in prediction.boundary_axes:
            rates += [rates[0] + sigmas * axis, rates[0] - sigmas * axis]
        boundaries = (self._model.boundary(np.maximum(r, 0.0)) for r in rates)
        lower, upper, nested, violation = self._from_parts(
            first, end, latency, boundaries, _FITTED_RATES_MARGIN
        )
        return (
            np.maximum(lower, expected - sigmas * prediction.deviation),
            expected,
            np.minimum(upper, expected + sigmas * prediction.deviation),
            replace(guard, nested=nested, worst_violation=violation, model_sigmas=sigmas),
        )

    def _from_parts(
        self,
        first: Index,
        end: Index,
        latency: Array,
        boundaries: Iterable[Array],
        margin: float,
    ) -> tuple[Array, Array, int, float]:
        """Bounds from measured segments within and around each segment.

        The loosest over all ``boundaries`` that are plausible; the first is the likeliest, and
        the guard's numbers (segments checked, worst violation) are for that one.
        """
        lower = np.full((self._m, self._m), np.inf)
        upper = np.zeros((self._m, self._m))
        nested, violation = 0, None
        for boundary in boundaries:
            own = boundary[first, end]
            inside = np.maximum(latency - own, 0.0)
            packing = pack(self._m, first, end, inside)
            if violation is None:
                checked = packing.from_parts > 0.0
                excess = (own + packing.from_parts) / latency - 1.0
                nested, violation = int(checked.sum()), float(excess[checked].max(initial=0.0))
                margin += _CAUTION * violation
            container = smallest_container(self._m, first, end, inside)
            lower = np.minimum(lower, (boundary + packing.inside) * max(0.0, 1.0 - margin))
            upper = np.maximum(upper, (boundary + container) * (1.0 + margin))
        return lower, upper, nested, violation or 0.0

    def _doubts(self) -> Array:
        """Factors that put off segments around one that does not compile."""
        broken = [key for key, latency in self._latency.items() if not np.isfinite(latency)]
        factors = np.ones((self._m, self._m))
        for first, end in broken:
            factors[: first + 1, end:] = _UNLIKELY
        return factors
