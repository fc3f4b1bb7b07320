"""Everything measured on one kind of device, and what follows from it for all segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from partitioner.bounding.bounds import Bounds
from partitioner.problem import Array, Basis, Features, Guard, Places, Range, Segments


@dataclass(frozen=True, eq=False)
class Known:
    """``taken``: the latency of each of ``segments``, ns; ``inf`` where it was not measured or
    does not compile.  ``guard`` says how well what the bounds rest on held."""

    segments: Segments
    taken: Array
    guard: Guard
    _fails: Array
    _bounds: Bounds | None

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
        segments = places.segments()
        found = ((places.find(runs), ns) for runs, ns in known.items())
        pairs = sorted((at, np.inf if ns is None else float(ns)) for at, ns in found if at)
        every = np.array([at for at, _ in pairs], dtype=np.intp).reshape(-1, 2)
        times = np.array([ns for _, ns in pairs])
        taken, fails = np.full(len(segments), np.inf), np.zeros(len(segments))
        first, end, which = places.wherever(*every.T)
        at, here = segments.find(first, end)
        taken[at[here]] = times[which[here]]
        fails[at[here]] = np.where(np.isinf(taken[at[here]]), np.inf, 0.0)
        runs, bounds = np.isfinite(times), None
        if basis is not None and runs.any():
            latency = np.maximum(times[runs], 1.0)
            first, end = every[runs].T
            bounds = Bounds.of(places, features, basis, first, end, latency)
        return cls(segments, taken, Guard() if bounds is None else bounds.guard, fails, bounds)

    @property
    def inferred(self) -> Bounds | None:
        """What the bounds come from; ``None`` where nothing follows for other segments."""
        return self._bounds

    def bounds(self, ceiling: float) -> tuple[Array, Array]:
        """Lower and upper bounds on all segments, ns, as good as can be had of those that may be at
        or under ``ceiling``."""
        lower, upper = np.zeros(len(self.segments)), np.full(len(self.segments), np.inf)
        if self._bounds is not None:
            lower, _ = self._bounds.from_parts(self.segments, upper=False)
            near = lower <= ceiling
            lower[near], upper[near], _ = self._bounds.at(self.segments.where(near))
        lower, upper = np.maximum(lower, self._fails), np.maximum(upper, self._fails)
        measured = np.isfinite(self.taken)
        lower[measured] = upper[measured] = self.taken[measured]
        return lower, upper
