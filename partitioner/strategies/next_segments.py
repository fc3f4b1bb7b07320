"""Which segments to measure next, of the cut that is to be measured.

The one place that decides it: the searches find the cut, and measure what this says until the cut
is ruled out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from partitioner.beliefs import Beliefs, Knowledge
from partitioner.problem import Problem, Range
from partitioner.strategies.aims import Step

Task = tuple[Range, int]
"""A segment to be measured, and the number of the kind of device to measure it on."""


def tasks_of(problem: Problem, step: Step) -> list[Task]:
    """All segments of the cut, each on its kind of device."""
    cuts, kinds = step.cut
    return list(zip(problem.segments_between(cuts), kinds, strict=True))


def next_segments(
    problem: Problem, known: Sequence[Knowledge], beliefs: Sequence[Beliefs], step: Step
) -> list[Task]:
    """The segments of the cut that were not measured, in the order to do it.

    Those that are expected to rule the cut out come first.  ``known`` and ``beliefs`` are those
    of each kind.
    """
    cuts, kinds = step.cut
    edges = list(pairwise((0, *cuts, len(problem.places) - 1)))
    expected = []
    for pair, kind in zip(edges, kinds, strict=True):
        at, _ = beliefs[kind].segments.find(*np.array([pair], dtype=np.intp).T)
        expected.append(float(beliefs[kind].expected[at[0]]))
    order = np.argsort(expected, kind="stable")
    tasks = tasks_of(problem, step)
    ordered = [tasks[i] for i in (order[::-1] if step.slowest_first else order)]
    return [(segment, kind) for segment, kind in ordered if known[kind].latency(segment) is None]
