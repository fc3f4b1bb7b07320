"""Choices of TPUs that a sweep leaves out change no plan and no sentence: against all choices."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compiler import Graph, graph_from_bytes
from partitioner import CostTable
from partitioner.graphs import problem_of
from partitioner.problem import Problem, Range, operators_of
from partitioner.sizing import Findings, Sweep, Target, recommend, sweep
from partitioner.sizing.findings import Usage, choices_of, useless_from_ns
from partitioner.sizing.how_many import sweep_of
from partitioner.sizing.plans import PipelineCost, plans
from partitioner.solving import Offer, best_cuts, least_on_each
from partitioner.strategies import Kind
from zoo.random_graph import random_graph

NAMES = "abc"


@cache
def graph() -> Graph:
    return graph_from_bytes(random_graph(19, 10), "random")


@cache
def problem(segments: int) -> Problem:
    if segments == 1:
        return Problem(len(graph()), 1, ())
    return problem_of(graph(), segments)


class Costs:
    """Latencies by kind: work, a request, and more beyond a memory, as if it were streamed."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self._work = random.integers(20_000, 60_000, len(graph()))
        self._beyond = float(random.choice([0.0, 1.0, 4.0]))
        self._factors = [1.0, *random.uniform(0.7, 3.0, 2)]
        self._requests = random.integers(10_000, 200_000, 3)

    def __call__(self, kind: int, runs: Range) -> int:
        work = int(self._work[list(operators_of(runs))].sum())
        more = self._beyond * max(0, work - int(self._work.sum()) // 3)
        return int(self._requests[kind] + self._factors[kind] * (work + more))


def all_choices(costs: Costs, counts: Usage, most: int) -> Sweep:
    """The table of every choice's best cut, solved for over all latencies."""
    pipelines = []
    for number in range(1, most + 1):
        places, allowed = problem(number).places, problem(number).allowed_cuts()
        segments = places.segments()
        runs = [places.operators(*pair) for pair in zip(segments.first, segments.end, strict=True)]
        tables = [np.array([float(costs(q, run)) for run in runs]) for q in range(len(counts))]
        for usage in choices_of(counts, number):
            used = [q for q, count in enumerate(usage) if count]
            offers = [Offer(segments, tables[q], usage[q]) for q in used]
            best = best_cuts(offers, number, allowed=allowed)
            assert best is not None
            assert (
                best.bottleneck
                == least_on_each(offers, number, allowed)[tuple(usage[q] for q in used)]
            )
            kinds = [used[q] for q in best.kinds]
            cut = problem(number).segments_between(best.cuts)
            pipelines.append(
                PipelineCost(
                    best.cuts,
                    tuple(costs(q, run) for q, run in zip(kinds, cut, strict=True)),
                    kinds=tuple(NAMES[q] for q in kinds),
                )
            )
    available = dict(zip(NAMES, counts, strict=False))
    return sweep_of(pipelines, range(1, most + 1), available=available)


# The same ones in every run: a proof holds with a probability, and one in many may be false.
@settings(deadline=None, max_examples=20, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    counts=st.tuples(*[st.integers(1, 2)] * 3) | st.tuples(*[st.integers(1, 3)] * 2),
    share=st.floats(0.2, 1.2),
    slack=st.none() | st.floats(0.5, 3.0),
)
@example(seed=0, counts=(2, 2, 2), share=0.9, slack=None)
@example(seed=0, counts=(2, 2, 2), share=0.9, slack=1.0)
@example(seed=598, counts=(1, 2), share=1.0, slack=None)
def test_plans_are_those_of_all_choices(
    seed: int, counts: Usage, share: float, slack: float | None
) -> None:
    costs, most = Costs(seed), min(4, sum(counts))
    truth = all_choices(costs, counts, most)
    fps = share * truth.rows[-1].best.throughput
    latency_ns = None if slack is None else int(slack * truth.pipelines[0].latency_ns)
    target = Target(fps, latency_ns)
    kinds = [
        Kind(NAMES[q], count, CostTable(lambda *runs, q=q: costs(q, runs)))
        for q, count in enumerate(counts)
    ]
    findings = Findings()
    table = sweep(
        graph(), kinds, range(1, most + 1), most_latency_ns=target.most_ns, findings=findings
    )
    every = {u for number in range(1, most + 1) for u in choices_of(counts, number)}
    assert findings.settled == every
    assert len(findings.found) + len(table.left_out) == len(every)
    for row, true in zip(table.rows, truth.rows, strict=True):
        assert row.best.throughput == true.best.throughput
        assert row.pipeline is not None
        assert true.pipeline is not None
        assert row.pipeline.throughput == true.pipeline.throughput
        assert row.copies is not None
        assert true.copies is not None
        assert row.copies.throughput == true.copies.throughput
    for asked in (target, Target()):
        advised, right = recommend(table, asked), recommend(truth, asked)
        assert advised.met == right.met
        assert advised.plan.num_devices == right.plan.num_devices
        assert advised.plan.throughput == right.plan.throughput
    for left in table.left_out:
        (one,) = (p for p in truth.pipelines if dict(p.devices) == dict(left.devices))
        assert left.lower_bound_ns <= one.bottleneck_ns
        beside = [p for p in truth.pipelines if p.latency_ns <= target.most_ns]
        within = {kind: left.devices.get(kind, 0) for kind in NAMES}
        others = plans(beside, within, left.segments)
        assert max(plan.throughput for plan in others) > one.throughput


def test_what_is_of_no_use() -> None:
    """Two TPUs of a kind make 2 x 1,000 items a second by themselves, a slow third 100 more."""
    fast, slow = PipelineCost((), (1_000_000,)), PipelineCost((), (10_000_000,))
    found = {(1, 0): fast, (0, 1): slow}
    limits = useless_from_ns(found, (2, 1), 1e9)
    assert limits[2, 0] == 500_001
    assert limits[2, 1] == 476_191
    assert useless_from_ns(found, (2, 1), 2e6)[2, 1] == 500_001
    assert useless_from_ns(found, (2, 1), 1e3) == {}
