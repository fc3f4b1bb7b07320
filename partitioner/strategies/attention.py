"""Which segments of a long model a search looks at, so that a round stays affordable.

Of a model of thousands of operators, most segments are far too long or lead nowhere.  They are
left out while the search goes on, and looked at again before it ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.beliefs import Beliefs, Knowledge
from partitioner.problem import Places, Problem, Segments
from partitioner.solving import Solution, on_some_path

FEW_SEGMENTS = 10_000
"""As long as there are no more segments than this, all are looked at in every round."""

_VAST = 1_000_000
"""Of more segments than this, listing those in question takes longer than several cuts."""


def between_some(places: Places, most: int, cuts: Sequence[int]) -> Segments:
    """About ``most`` segments: all, or those between ``cuts`` and places far enough apart."""
    last = len(places) - 1
    if last * (last + 1) // 2 <= most:
        return places.segments()
    chosen = np.zeros(last + 1, dtype=np.bool_)
    chosen[[*np.linspace(0, last, int(np.sqrt(2 * most))).astype(np.intp), *cuts]] = True
    parts = places.parts(np.where(chosen, last, 0))
    return Segments.chosen(parts, lambda part: chosen[part.end])


class Attention:
    """Choices among all segments, by what is known and the best cut so far.

    All is said for each kind of device: a slow one may have fewer segments that are fast enough.
    """

    def __init__(self, problem: Problem, known: Sequence[Knowledge]) -> None:
        self._places = problem.places
        self._known = known
        self._k = problem.num_segments
        self._allowed = problem.allowed_cuts()
        self.vast = problem.places.distinct_segments > _VAST
        """Whether the first cuts are better looked for in a sample alone."""
        self._every: Segments | None = None
        """All of them, where they are few."""
        if self._places.distinct_segments <= FEW_SEGMENTS:
            every = self._places.segments()
            self._every = every if len(every) <= FEW_SEGMENTS else None

    def complete(self, beliefs: Sequence[Beliefs]) -> bool:
        """Whether nothing is left out of these."""
        return self._every is not None and all(b.segments is self._every for b in beliefs)

    def sample(self, best: Solution | None) -> Sequence[Segments] | None:
        """Segments between some of the places, the starting cuts among them, of a long model.

        The starting split can be several times slower than the best cut, and then rules little out.
        A cut between few places that is expected to be fast costs little to find, and rules out
        most of all others.
        """
        if self._every is not None or best is None:
            return None
        return [between_some(self._places, FEW_SEGMENTS, best.cuts)] * len(self._known)

    def promising(self, best: Solution | None) -> Sequence[Segments]:
        """All segments but those that cannot be part of a cut as fast as the best one."""
        if self._every is not None or best is None:
            return [self._places.segments()] * len(self._known)
        segments = [known.within(best.bottleneck) for known in self._known]
        return self._on_paths(segments)

    def thinned(
        self, beliefs: Sequence[Beliefs], best: Solution | None, *, evening_out: bool
    ) -> Sequence[Segments]:
        """Those looked at so far without what another round ruled out, if that is much.

        ``evening_out``: only cuts are of interest that are not less even than the best one.
        """
        segments = [belief.segments for belief in beliefs]
        if sum(map(len, segments)) <= FEW_SEGMENTS or best is None:
            return segments
        wanted = [belief.lower <= best.bottleneck for belief in beliefs]
        if evening_out:
            for mask, belief in zip(wanted, beliefs, strict=True):
                mask &= belief.upper >= best.fastest
        fewer = self._on_paths(
            [part.where(mask) for part, mask in zip(segments, wanted, strict=True)]
        )
        return fewer if sum(map(len, fewer)) < 0.9 * sum(map(len, segments)) else segments

    def _on_paths(self, segments: Sequence[Segments]) -> Sequence[Segments]:
        """Those that are part of a cut made of such alone."""
        possible = on_some_path(segments, self._k, self._allowed)
        return [part.where(mask) for part, mask in zip(segments, possible, strict=True)]
