"""Everything that was measured: by segment, and in order wherever the segments can be."""

from __future__ import annotations

from itertools import islice

import numpy as np

from partitioner.problem import Array, Index, Places, Segments


class Measurements:
    """Latencies in ns by places, ``inf`` for segments that do not compile.

    A search adds one after the other and asks for all of them in every round, so they are also
    kept as arrays, to which only those added since are put.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._latency: dict[tuple[int, int], float] = {}
        self._forget()

    def _forget(self) -> None:
        self._in_arrays = 0
        self._failed: list[tuple[int, int]] = []
        nothing = np.zeros(0, dtype=np.intp)
        self._given = nothing, nothing, np.zeros(0)
        self._everywhere = Segments(len(self._places), nothing, nothing), np.zeros(0)

    def add(self, first: int, end: int, latency_ns: float) -> None:
        """A segment by the places that :meth:`~partitioner.problem.Places.find` tells."""
        if self._latency.setdefault((first, end), latency_ns) != latency_ns:
            self._latency[first, end] = latency_ns
            self._forget()

    def get(self, key: tuple[int, int]) -> float | None:
        """What was measured between two places, ``None`` if nothing was."""
        return self._latency.get(key)

    def __len__(self) -> int:
        return len(self._latency)

    def failed(self) -> list[tuple[int, int]]:
        """The segments that do not compile."""
        self._bring_in()
        return self._failed

    def runs(self) -> tuple[Index, Index, Array]:
        """Places and latencies of those that compile, each once, ordered by their places."""
        self._bring_in()
        runs = np.flatnonzero(np.isfinite(self._given[2]))
        first, end, latency = self._given
        order = runs[np.lexsort((end[runs], first[runs]))]
        return first[order], end[order], latency[order]

    def everywhere(self) -> tuple[Segments, Array]:
        """All of them, wherever they can be."""
        self._bring_in()
        return self._everywhere

    def fill_in(self, segments: Segments, *values: Array) -> None:
        """Put what was measured in its place."""
        if not len(segments):
            return
        measured, latency = self.everywhere()
        low, high = np.searchsorted(measured.keys, segments.keys[[0, -1]], side="left")
        part = slice(low, high + 1)
        at, here = segments.find(measured.first[part], measured.end[part])
        for column in values:
            column[at[here]] = latency[part][here]

    def _bring_in(self) -> None:
        """Have the arrays hold all that was added."""
        if self._in_arrays == len(self._latency):
            return
        new = list(islice(self._latency.items(), self._in_arrays, None))
        self._failed += [key for key, latency in new if np.isinf(latency)]
        keys = np.array([key for key, _ in new], dtype=np.intp)
        first, end, latency = keys[:, 0], keys[:, 1], np.array([latency for _, latency in new])
        self._in_arrays = len(self._latency)
        self._given = _behind(self._given, (first, end, latency))
        first, end, which = self._places.wherever(first, end)
        known, known_latency = self._everywhere
        first, end, latency = _behind(
            (known.first, known.end, known_latency), (first, end, latency[which])
        )
        order = np.lexsort((end, first))
        self._everywhere = Segments(len(self._places), first[order], end[order]), latency[order]


def _behind(
    known: tuple[Index, Index, Array], added: tuple[Index, Index, Array]
) -> tuple[Index, Index, Array]:
    first, end, latency = (np.concatenate(pair) for pair in zip(known, added, strict=True))
    return first, end, latency
