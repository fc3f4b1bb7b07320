"""Everything measured on one kind of device, and what follows from it for all segments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from partitioner.bounding.bounds import Bounds
from partitioner.bounding.telling import telling
from partitioner.problem import Array, Basis, Features, Guard, Mask, Places, Range, Segments


@dataclass(frozen=True, eq=False)
class Known:
    """``guard`` says how well what the bounds rest on held."""

    guard: Guard
    _measured: Segments
    _latency: Array
    _bounds: Bounds | None
    _of_sums: Callable[[], Bounds] | None

    @classmethod
    def of(
        cls,
        places: Places,
        features: Features | None,
        basis: Basis | None,
        known: Mapping[Range, int | None],
    ) -> Known:
        """From latencies by operators (``None``: does not compile).

        Without a ``basis``, nothing follows for other segments than those.
        """
        found = ((places.find(runs), ns) for runs, ns in known.items())
        pairs = sorted((at, np.inf if ns is None else float(ns)) for at, ns in found if at)
        every = np.array([at for at, _ in pairs], dtype=np.intp).reshape(-1, 2)
        times = np.array([ns for _, ns in pairs])
        runs, bounds, of_sums = np.isfinite(times), None, None
        if basis is not None and runs.any():
            told = np.flatnonzero(runs)[telling(int(runs.sum()))]
            first, end = every[told].T
            from_these = partial(
                Bounds.of,
                places,
                features,
                first=first,
                end=end,
                latency=np.maximum(times[told], 1.0),
            )
            bounds = from_these(basis)
            of_sums = partial(from_these, replace(basis, near_ns=0.0))
        first, end, which = places.wherever(*every.T)
        order = np.lexsort((end, first))
        measured = Segments(len(places), first[order], end[order])
        guard = Guard() if bounds is None else bounds.guard
        return cls(guard, measured, times[which[order]], bounds, of_sums)

    def of_sums(self) -> Bounds | None:
        """What bounds on sums of segments come from, for which measured ones tell the same however
        long they are; ``None`` where nothing follows for other segments."""
        return None if self._of_sums is None else self._of_sums()

    def taken(self, segments: Segments) -> Array:
        """The latency of each, ns; ``inf`` where it was not measured or does not compile."""
        return self._with_measured(segments, np.full(len(segments), np.inf))

    def least(self, segments: Segments) -> Array:
        """Lower bounds that cost little, ns."""
        lower = np.zeros(len(segments))
        if self._bounds is not None:
            lower = self._bounds.from_parts(segments)
        return self._with_measured(segments, lower)

    def bounds(self, segments: Segments) -> tuple[Array, Array]:
        """Lower and upper bounds as good as can be had, ns."""
        lower, upper = np.zeros(len(segments)), np.full(len(segments), np.inf)
        if self._bounds is not None:
            lower, upper, _ = self._bounds.at(segments)
        return self._with_measured(segments, lower), self._with_measured(segments, upper)

    def _with_measured(self, segments: Segments, values: Array) -> Array:
        at, here = self._measured.find(segments.first, segments.end)
        values[here] = self._latency[at[here]]
        return values


def measured_on_any(places: Places, kinds: Sequence[Known]) -> tuple[Segments, list[Array]]:
    """The segments measured on any kind of device, and what each took on each of them, ns.

    ``inf`` where it was not measured, or does not compile.
    """
    segments = _of_any(places, kinds, lambda known, part: np.isfinite(known.taken(part)))
    return segments, [known.taken(segments) for known in kinds]


def bounds_on_any(
    places: Places, kinds: Sequence[Known], ceiling: float
) -> tuple[Segments, list[tuple[Array, Array]]]:
    """The segments that may be within the ``ceiling`` on any kind, and their bounds on each, ns."""
    segments = _of_any(places, kinds, lambda known, part: known.least(part) <= ceiling)
    return segments, [known.bounds(segments) for known in kinds]


def _of_any(
    places: Places, kinds: Sequence[Known], wanted: Callable[[Known, Segments], Mask]
) -> Segments:
    return Segments.chosen(
        places.parts(), lambda part: np.any([wanted(known, part) for known in kinds], axis=0)
    )
