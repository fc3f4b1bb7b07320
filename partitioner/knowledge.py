"""Everything measured so far, and what it implies for every segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partitioner.bounds import pack, smallest_container
from partitioner.cost_model import CostModel
from partitioner.features import SegmentFeatures
from partitioner.problem import Guard, Range

Array = NDArray[np.float64]

_SIGMAS = 3.0
"""Standard deviations between what the cost model expects and its bound, at least."""

_CAUTION = 1.5
"""How much worse the unseen may be than the worst seen."""

_FITTED_RATES_MARGIN = 0.1
"""Taken off bounds from measured parts when the boundary's share is fitted and not known.

Chosen on synthetic models whose streaming grows by steps, where 0 gave a wrong optimum in 3 of 60
cases and 0.1 in none, for a few measurements more.
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

    def _infer(
        self, first: NDArray[np.intp], end: NDArray[np.intp], latency: Array
    ) -> tuple[Array, Array, Array, Guard]:
        prediction = self._model.fit(first, end, latency)
        expected = prediction.mean
        if self._bounded_by_model:
            boundary = prediction.boundary
            margin = _FITTED_RATES_MARGIN
        else:
            boundary = np.full((self._m, self._m), latency.min())
            margin = 0.0
        inside = np.maximum(latency - boundary[first, end], 0.0)

        packing = pack(self._m, first, end, inside)
        nested = packing.from_parts > 0.0
        from_parts = boundary[first, end] + packing.from_parts
        violation = float(np.max((from_parts / latency - 1.0)[nested], initial=0.0))
        margin += _CAUTION * violation
        lower = (boundary + packing.inside) * max(0.0, 1.0 - margin)
        upper = (boundary + smallest_container(self._m, first, end, inside)) * (1.0 + margin)

        sigmas = None
        if self._bounded_by_model:
            sigmas = max(_SIGMAS, _CAUTION * prediction.worst_sigmas)
            lower = np.maximum(lower, expected - sigmas * prediction.deviation)
            upper = np.minimum(upper, expected + sigmas * prediction.deviation)
        guard = Guard(
            nested=int(nested.sum()),
            worst_violation=violation,
            worst_model_error=prediction.worst_error,
            model_sigmas=sigmas,
        )
        return lower, expected, upper, guard

    def _doubts(self) -> Array:
        """Factors that put off segments around one that does not compile."""
        broken = [key for key, latency in self._latency.items() if not np.isfinite(latency)]
        factors = np.ones((self._m, self._m))
        for first, end in broken:
            factors[: first + 1, end:] = _UNLIKELY
        return factors
