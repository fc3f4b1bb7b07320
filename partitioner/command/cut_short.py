"""The best cut of what was measured when a search was ended in the middle of a measurement.

The search itself has no answer then.  What it measured is solved for once more, exactly, and bounds
the other cuts as it would have at the end of a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from partitioner.beliefs import Knowledge
from partitioner.measuring import DeviceProfiler
from partitioner.problem import (
    Guard,
    Partition,
    Problem,
    Range,
    Round,
    SegmentProfile,
    everywhere,
    in_file_order,
    placed,
)
from partitioner.solving import Offer, best_cuts

_BOUNDING = ("optimal",)
"""Strategies that claim something of what they did not measure."""


@dataclass(frozen=True)
class CutShort:
    """A search that was ended.

    There is a profiler for each kind of device, of which there are ``counts``, called ``names``;
    ``rounds`` are those that the search told.
    """

    problem: Problem
    strategy: str
    profilers: Sequence[DeviceProfiler]
    counts: Sequence[int]
    names: Sequence[str]
    rounds: Sequence[Round]


def best_of_measured(search: CutShort) -> tuple[Partition, tuple[int, ...]] | None:
    """The best cut into segments that were measured, and the kind of device of each.

    ``None`` if no cut is made of measured segments alone.
    """
    problem = search.problem
    offers = []
    for profiler, count in zip(search.profilers, search.counts, strict=True):
        measured = profiler.known().items()
        found = [(problem.places.find(segment), m.latency_ns) for segment, m in measured]
        pairs = {pair: float(latency_ns) for pair, latency_ns in found if pair is not None}
        segments, which = everywhere(problem.places, list(pairs))
        offers.append(Offer(segments, np.array(list(pairs.values()))[which], count))
    best = best_cuts(offers, problem.num_segments, allowed=problem.allowed_cuts())
    if best is None:
        return None
    runs = problem.segments_between(best.cuts)
    return _partition(search, runs, best.kinds), best.kinds


def _partition(search: CutShort, runs: Sequence[Range], kinds: Sequence[int]) -> Partition:
    problem, profilers = search.problem, search.profilers
    names, rounds = search.names, search.rounds
    several = len(profilers) > 1
    profiles = []
    for segment, kind in zip(placed(runs), kinds, strict=True):
        measurement = profilers[kind].measurement(segment.runs)
        profiles.append(SegmentProfile(segment, measurement.latency_ns, measurement.facts))
    latencies = tuple(profile.latency_ns for profile in profiles)
    measurements = sum(profiler.measurements for profiler in profilers)
    compilations = sum(profiler.compilations for profiler in profilers)
    bottleneck, gap = max(latencies), max(latencies) - min(latencies)
    told = Round(
        index=len(rounds),
        cuts=tuple(segment.end for segment in placed(runs)[:-1]),
        latencies_ns=latencies,
        bottleneck_ns=bottleneck,
        gap_ns=gap,
        best_bottleneck_ns=bottleneck,
        best_gap_ns=gap,
        lower_bound_ns=min(bottleneck, rounds[-1].lower_bound_ns) if rounds else 0,
        measurements=measurements,
        segments=() if in_file_order(runs) else tuple(runs),
    )
    answers, bases = [], []
    for q, profiler in enumerate(profilers):
        everything: dict[Range, int | None] = dict.fromkeys(profiler.failures)
        everything |= {segment: m.latency_ns for segment, m in profiler.known().items()}
        answers += [(q, answer) for answer in sorted(everything.items())]
        knowledge = Knowledge(problem.places, problem.features)
        for asked, latency in everything.items():
            knowledge.observe(asked, latency)
        knowledge.near(bottleneck)
        bases.append(knowledge.basis)
    return Partition(
        strategy=search.strategy,
        segments=tuple(profiles),
        bytes_across_cuts=problem.bytes_across(runs),
        compilations=compilations,
        measurements=measurements,
        lower_bound_ns=0,  # and so on: reports work them out from what was measured
        least_gap_ns=0,
        outcome="timeout",
        limit="timeout",
        guard=Guard(),
        bases=tuple(bases) if search.strategy in _BOUNDING else (),
        rounds=(*rounds, told),
        measured=tuple(answer for _, answer in answers),
        compiler_runs=compilations,
        kinds=tuple(names[kind] for kind in kinds) if several else (),
        measured_on=tuple(names[q] for q, _ in answers) if several else (),
        available=tuple(zip(names, search.counts, strict=True)) if several else (),
        order=problem.order,
    )
