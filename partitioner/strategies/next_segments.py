"""Which segments to measure next, of the cut that is to be measured.

The one place that decides it: the searches find the cut, and measure what this says until the cut
is ruled out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from partitioner.beliefs import Beliefs, Knowledge
from partitioner.problem import Problem, Range
from partitioner.strategies.aims import Step
from partitioner.strategies.prospects import Prospect, Prospects

Task = tuple[Range, int]
"""A segment to be measured, and the number of the kind of device to measure it on."""


def tasks_of(problem: Problem, cut: Prospect) -> list[Task]:
    """All segments of the cut, each on its kind of device."""
    cuts, kinds = cut
    return list(zip(problem.segments_between(cuts), kinds, strict=True))


def next_segments(
    problem: Problem,
    known: Sequence[Knowledge],
    beliefs: Sequence[Beliefs],
    prospects: Prospects,
    step: Step,
    at_once: int,
) -> list[Task]:
    """What to measure, in order, until the cut of the step is ruled out.

    That is all of the cut that was not measured, unless its slowest segment is expected to rule it
    out.  Then that is measured alone, and as many others ``at_once`` as can be: each the one that
    is expected to rule out what is left, if those before it do what is expected of them.
    ``known`` and ``beliefs`` are those of each kind.
    """
    tasks: list[Task] = []
    for _ in range(at_once):
        ordered, slowest_ns = _unknown(problem, known, beliefs, step)
        if step.hopeful is None or not step.ruled_out(slowest_ns):
            return tasks or ordered
        segment, kind = ordered[0]
        tasks.append((segment, kind))
        if len(tasks) == at_once:
            break
        beliefs = [_without(problem, b, segment) if kind == q else b for q, b in enumerate(beliefs)]
        cut = prospects.fastest(beliefs, step.hopeful)
        if cut is None:
            break
        step = replace(step, cut=cut)
    return tasks


def _unknown(
    problem: Problem, known: Sequence[Knowledge], beliefs: Sequence[Beliefs], step: Step
) -> tuple[list[Task], float]:
    """The segments of the cut that were not measured, and what the first is expected to take, ns.

    Those that are expected to rule the cut out come first.
    """
    edges = pairwise((0, *step.cut[0], len(problem.places) - 1))
    expected: list[tuple[float, Task]] = []
    for pair, task in zip(edges, tasks_of(problem, step.cut), strict=True):
        segment, kind = task
        if known[kind].latency(segment) is None:
            at, _ = beliefs[kind].segments.find(*np.array([pair], dtype=np.intp).T)
            expected.append((float(beliefs[kind].expected[at[0]]), task))
    expected.sort(key=lambda pair: pair[0])
    if step.slowest_first:
        expected.reverse()
    return [task for _, task in expected], expected[0][0] if expected else -np.inf


def _without(problem: Problem, beliefs: Beliefs, segment: Range) -> Beliefs:
    """What is left in question once the segment has taken too long, and so what contains it."""
    found = problem.places.find(segment)
    assert found is not None, "cuts are made between places"
    return beliefs.where(~problem.places.around(beliefs.segments, *found))
