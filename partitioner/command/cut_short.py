"""The best cut of what was measured when a search was ended in the middle of a measurement.

The search itself has no answer then.  What it measured is solved for once more, exactly, and bounds
the other cuts as it would have at the end of a search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    in_file_order,
    placed,
)
from partitioner.solving import solve_assigned

_BOUNDING = ("optimal",)
"""Strategies that claim something of what they did not measure."""


def best_of_measured(
    problem: Problem,
    profilers: Sequence[DeviceProfiler],
    counts: Sequence[int],
    names: Sequence[str],
    rounds: Sequence[Round],
    strategy: str,
) -> tuple[Partition, tuple[int, ...]] | None:
    """The best cut into segments that were measured, and the kind of device of each.

    There is a profiler for each kind, with ``counts`` devices and called ``names``; ``rounds`` are
    those that the search told.  ``None`` if no cut is made of measured segments alone.
    """
    known = [profiler.known() for profiler in profilers]
    pairs: dict[Range, tuple[int, int]] = {}
    for segment in {segment for measured in known for segment in measured}:
        pair = problem.places.find(segment)
        if pair is not None:
            pairs[segment] = pair
    if not pairs:
        return None
    ends = {s: problem.places.wherever(*np.array([pair]).T)[:2] for s, pair in pairs.items()}
    used = np.unique(np.concatenate([edge for pair in ends.values() for edge in pair]))
    last = len(problem.places) - 1
    if used[0] != 0 or used[-1] != last:
        return None
    costs = [np.full((len(used), len(used)), np.inf) for _ in known]
    for table, measured in zip(costs, known, strict=True):
        for segment, measurement in measured.items():
            if segment in ends:
                i, j = ends[segment]
                table[used.searchsorted(i), used.searchsorted(j)] = measurement.latency_ns
    allowed = problem.allowed_cuts()
    best = solve_assigned(
        costs,
        counts,
        problem.num_segments,
        allowed=None if allowed is None else allowed[:, used],
    )
    if best is None:
        return None
    cuts = [int(used[cut]) for cut in best.cuts]
    runs = [
        problem.places.operators(first, end)
        for first, end in zip((0, *cuts), (*cuts, last), strict=True)
    ]
    return _partition(
        problem, profilers, names, counts, rounds, strategy, runs, known, best.kinds
    ), best.kinds


def _partition(
    problem: Problem,
    profilers: Sequence[DeviceProfiler],
    names: Sequence[str],
    counts: Sequence[int],
    rounds: Sequence[Round],
    strategy: str,
    runs: Sequence[Range],
    known: Sequence[Mapping[Range, object]],
    kinds: Sequence[int],
) -> Partition:
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
        bases.append(knowledge.basis)
    return Partition(
        strategy=strategy,
        segments=tuple(profiles),
        bytes_across_cuts=problem.bytes_across(runs),
        compilations=compilations,
        measurements=measurements,
        lower_bound_ns=0,  # and so on: reports work them out from what was measured
        least_gap_ns=0,
        outcome="timeout",
        limit="timeout",
        guard=Guard(),
        bases=tuple(bases) if strategy in _BOUNDING else (),
        rounds=(*rounds, told),
        measured=tuple(answer for _, answer in answers),
        compiler_runs=compilations,
        kinds=tuple(names[kind] for kind in kinds) if several else (),
        measured_on=tuple(names[q] for q, _ in answers) if several else (),
        available=tuple(zip(names, counts, strict=True)) if several else (),
        order=problem.order,
    )
