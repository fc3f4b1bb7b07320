"""Which segments of a long model a search looks at, so that a round stays affordable.

Of a model of thousands of operators, most segments are far too long or lead nowhere.  They are
left out while the search goes on, and looked at again before it ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partitioner.beliefs import Beliefs, Knowledge
from partitioner.problem import Mask, Problem, Segments
from partitioner.solving import Solution, on_some_path

FEW_SEGMENTS = 10_000
"""As long as there are no more segments than this, all are looked at in every round."""


class Attention:
    """Choices among all segments there are, by what is known and the best cut so far.

    All is said for each kind of device: a slow one may have fewer segments that are fast enough.
    """

    def __init__(self, problem: Problem, known: Sequence[Knowledge]) -> None:
        self._segments = problem.places.segments()
        self._known = known
        self._k = problem.num_segments
        self._allowed = problem.allowed_cuts()

    def complete(self, beliefs: Sequence[Beliefs]) -> bool:
        """Whether nothing is left out of these."""
        return all(belief.segments is self._segments for belief in beliefs)

    def sample(self, best: Solution | None) -> Sequence[Segments] | None:
        """Segments between some of the places, the starting cuts among them, of a long model.

        The starting split can be several times slower than the best cut, and then rules little out.
        A cut between few places that is expected to be fast costs little to find, and rules out
        most of all others.
        """
        segments = self._segments
        if len(segments) <= FEW_SEGMENTS or best is None:
            return None
        places = segments.num_places
        some = np.linspace(0, places - 1, int(np.sqrt(2 * FEW_SEGMENTS))).astype(np.intp)
        chosen = np.zeros(places, dtype=np.bool_)
        chosen[[*some, *best.cuts]] = True
        return [segments.where(chosen[segments.first] & chosen[segments.end])] * len(self._known)

    def promising(self, best: Solution | None) -> Sequence[Segments]:
        """All segments but those that cannot be part of a cut as fast as the best one."""
        every = [self._segments] * len(self._known)
        if len(self._segments) <= FEW_SEGMENTS or best is None:
            return every
        bounds = [known.bound_by_parts(self._segments) for known in self._known]
        return self._on_paths(every, [lower <= best.bottleneck for lower in bounds])

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
        fewer = self._on_paths(segments, wanted)
        return fewer if sum(map(len, fewer)) < 0.9 * sum(map(len, segments)) else segments

    def _on_paths(self, segments: Sequence[Segments], wanted: Sequence[Mask]) -> Sequence[Segments]:
        """Those ``wanted`` that are part of a cut made of such alone."""
        some = [part.where(mask) for part, mask in zip(segments, wanted, strict=True)]
        possible = on_some_path(some, self._k, self._allowed)
        return [part.where(mask) for part, mask in zip(some, possible, strict=True)]
