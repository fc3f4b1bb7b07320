"""Plans, the table over numbers of devices, and what is recommended."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner import CostTable, search_optimal
from partitioner.problem.problem import Problem
from partitioner.sizing.how_many import (
    PipelineCost,
    Plan,
    Target,
    describe,
    plans,
    recommend,
    sweep_of,
)


def cost(*latencies_ms: float) -> PipelineCost:
    cuts = tuple(range(1, len(latencies_ms)))
    return PipelineCost(cuts, tuple(round(1e6 * one) for one in latencies_ms))


SMALL = {1: cost(2.0), 2: cost(1.5, 1.5), 3: cost(1.5, 1.5, 1.5), 4: cost(1.5, 1.5, 1.5, 1.5)}
"""Fits one chip: every cut only adds requests and transfers."""

LARGE = {1: cost(40.0), 2: cost(13.0, 14.0), 3: cost(6.0, 6.0, 5.5), 4: cost(5.0, 5.0, 4.5, 4.5)}
"""Streams parameters until it is in three parts."""


def test_small_models_are_copied() -> None:
    table = sweep_of(SMALL, range(1, 5))
    assert [row.best.copies for row in table.rows] == [1, 2, 3, 4]
    assert all(row.best.segments == 1 for row in table.rows)
    advice = recommend(table, Target(fps=1500))
    assert (advice.plan.num_devices, advice.met) == (3, True)
    assert "Do not cut this model: on 3 TPUs" in advice.sentence
    assert recommend(table, Target()).plan.num_devices == 1


def test_large_models_are_cut() -> None:
    table = sweep_of(LARGE, range(1, 9))
    advice = recommend(table, Target())
    assert (advice.plan.segments, advice.plan.copies) == (3, 1)
    assert "Cutting pays: 3 copies of the whole model would give 75.0" in advice.sentence
    six = table.rows[5].best
    assert (six.segments, six.copies) == (3, 2)
    assert table.rows[6].best == six  # the seventh TPU is of no use
    assert table.rows[6].marginal_gain == 0.0
    assert table.rows[1].marginal_gain == pytest.approx(40 / 14 - 1)


def test_latency_decides() -> None:
    table = sweep_of(LARGE, range(1, 9))
    assert recommend(table, Target(latency_ns=18_000_000)).plan.segments == 3
    both = recommend(table, Target(fps=300, latency_ns=18_000_000))
    assert (both.plan.segments, both.plan.copies) == (3, 2)
    never = recommend(table, Target(fps=10_000, latency_ns=18_000_000))
    assert not never.met
    assert never.plan.latency_ns <= 18_000_000
    assert "no plan for up to 8 TPUs reaches 10000 inferences/s" in never.sentence
    slow = recommend(table, Target(latency_ns=1))
    assert (slow.met, slow.plan.segments) == (False, 3)


def test_models_that_only_compile_in_parts() -> None:
    table = sweep_of({2: cost(3.0, 4.0)}, range(2, 6), {1: "too large"})
    assert [row.copies for row in table.rows] == [None] * 4
    assert table.rows[0].pipeline is not None
    assert "nothing to copy" in recommend(table, Target()).sentence
    with pytest.raises(ValueError, match="no plan for 1 devices"):
        sweep_of({2: cost(3.0, 4.0)}, [1])


costs = st.lists(st.integers(1, 10**9), min_size=1, max_size=6)


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(1, 6), st.integers(1, 10**8), min_size=1),
    st.integers(1, 12),
    st.floats(0.1, 1e4) | st.none(),
    st.integers(1, 10**9) | st.none(),
)
def test_against_every_combination(
    bottlenecks: Mapping[int, int], most: int, fps: float | None, latency: int | None
) -> None:
    pipelines = {k: PipelineCost(tuple(range(1, k)), (b,) * k) for k, b in bottlenecks.items()}
    everything = [
        Plan(pipelines[k], r) for k, r in product(pipelines, range(1, most + 1)) if k * r <= most
    ]
    assert sorted(map(str, everything)) == sorted(map(str, plans(pipelines, most)))
    counts = [n for n in range(1, most + 1) if n >= min(pipelines)]
    if not counts:
        return
    table = sweep_of(pipelines, counts)
    for row in table.rows:
        rates = [p.throughput for p in everything if p.num_devices <= row.num_devices]
        assert row.best.throughput == max(rates)
    target = Target(fps, latency)
    advice = recommend(table, target)
    meeting = [p for p in everything if target.met_by(p)]
    assert advice.met == bool(meeting)
    if target.given and meeting:
        fewest = min(p.num_devices for p in meeting)
        assert advice.plan.num_devices == fewest
        assert target.met_by(advice.plan)


def test_words() -> None:
    assert describe(Plan(cost(1.0), 1)) == "the whole model"
    assert describe(Plan(cost(1.0), 3)) == "3 copies of the whole model"
    assert describe(Plan(cost(1.0, 1.0), 1)) == "a pipeline of 2 segments"
    assert describe(Plan(cost(1.0, 1.0), 2)) == "2 copies of a pipeline of 2 segments"


def test_one_segment_is_a_problem_too() -> None:
    found = search_optimal(Problem(5, 1, ()), CostTable(lambda a, b: 10 * (b - a)))
    assert (found.cuts, found.bottleneck_ns, found.outcome) == ((), 50, "optimal")
