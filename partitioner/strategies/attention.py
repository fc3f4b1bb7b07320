"""Which segments of a long model a search looks at, so that a round stays affordable.

Of a model of thousands of operators, most segments are far too long or lead nowhere.  They are
left out while the search goes on, and looked at again before it ends.
"""

from __future__ import annotations

import numpy as np

from partitioner.beliefs import Beliefs, Knowledge
from partitioner.problem import Problem, Segments
from partitioner.solving import Solution, on_some_path

FEW_SEGMENTS = 10_000
"""As long as there are no more segments than this, all are looked at in every round."""


class Attention:
    """Choices among all segments, by what is known and the best cut so far.

    ``every``: all of them, where they are few.
    """

    def __init__(self, problem: Problem, known: Knowledge) -> None:
        self._places = problem.places
        self._known = known
        self._k = problem.num_segments
        self._allowed = problem.allowed_cuts()
        self.every: Segments | None = None
        if self._places.distinct_segments <= FEW_SEGMENTS:
            every = self._places.segments()
            self.every = every if len(every) <= FEW_SEGMENTS else None

    def sample(self, best: Solution | None) -> Segments | None:
        """Segments between some of the places, the starting cuts among them, of a long model.

        The starting split can be several times slower than the best cut, and then rules little out.
        A cut between few places that is expected to be fast costs little to find, and rules out
        most of all others.
        """
        if self.every is not None or best is None:
            return None
        last = len(self._places) - 1
        some = np.linspace(0, last, int(np.sqrt(2 * FEW_SEGMENTS))).astype(np.intp)
        chosen = np.zeros(last + 1, dtype=np.bool_)
        chosen[[*some, *best.cuts]] = True
        parts = self._places.parts(np.where(chosen, last, 0))
        return Segments.chosen(parts, lambda part: chosen[part.end])

    def promising(self, best: Solution | None) -> Segments:
        """All segments but those that cannot be part of a cut as fast as the best one."""
        if self.every is not None or best is None:
            return self._places.segments()
        segments = self._known.within(best.bottleneck)
        return segments.where(on_some_path(segments, self._k, self._allowed))

    def thinned(self, beliefs: Beliefs, best: Solution | None, *, evening_out: bool) -> Segments:
        """Those looked at so far without what another round ruled out, if that is much.

        ``evening_out``: only cuts are of interest that are not less even than the best one.
        """
        segments = beliefs.segments
        if len(segments) <= FEW_SEGMENTS or best is None:
            return segments
        wanted = beliefs.lower <= best.bottleneck
        if evening_out:
            wanted &= beliefs.upper >= best.fastest
        fewer = segments.where(wanted)
        fewer = fewer.where(on_some_path(fewer, self._k, self._allowed))
        return fewer if len(fewer) < 0.9 * len(segments) else segments
