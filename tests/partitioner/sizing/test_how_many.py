"""Plans, the table over numbers of devices, and what is recommended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner import CostTable, search_optimal
from partitioner.problem.problem import Problem
from partitioner.sizing.advice import Target, recommend
from partitioner.sizing.how_many import sweep_of
from partitioner.sizing.plans import PipelineCost, Plan, copies, describe, plans, shorthand


def cost(*latencies_ms: float) -> PipelineCost:
    cuts = tuple(range(1, len(latencies_ms)))
    return PipelineCost(cuts, tuple(round(1e6 * one) for one in latencies_ms))


SMALL = [cost(2.0), cost(1.5, 1.5), cost(1.5, 1.5, 1.5), cost(1.5, 1.5, 1.5, 1.5)]
"""Fits one chip: every cut only adds requests and transfers."""

LARGE = [cost(40.0), cost(13.0, 14.0), cost(6.0, 6.0, 5.5), cost(5.0, 5.0, 4.5, 4.5)]
"""Streams parameters until it is in three parts."""


def test_small_models_are_copied() -> None:
    table = sweep_of(SMALL, range(1, 5))
    assert [shorthand(row.best) for row in table.rows] == ["1", "2x1", "3x1", "4x1"]
    advice = recommend(table, Target(fps=1500))
    assert (advice.plan.num_devices, advice.met) == (3, True)
    assert "Do not cut this model for up to 4 TPUs: on 3 TPUs" in advice.sentence
    assert recommend(table, Target()).plan.num_devices == 1


def test_large_models_are_cut() -> None:
    table = sweep_of(LARGE, range(1, 9))
    advice = recommend(table, Target())
    assert shorthand(advice.plan) == "3"
    assert advice.how_to_run == ""
    assert "Cutting pays: 3 copies of the whole model would give 75.0" in advice.sentence
    assert [shorthand(row.best) for row in table.rows[4:]] == ["3+2", "2x3", "4+3", "2x3+2"]
    assert table.rows[6].best.throughput == pytest.approx(1000 / 6 + 1000 / 5)
    assert table.rows[1].marginal_gain == pytest.approx(40 / 14 - 1)


def test_latency_decides() -> None:
    table = sweep_of(LARGE, range(1, 9))
    assert recommend(table, Target(latency_ns=18_000_000)).plan.num_devices == 3
    both = recommend(table, Target(fps=300, latency_ns=18_000_000))
    assert shorthand(both.plan) == "2x3"
    never = recommend(table, Target(fps=10_000, latency_ns=18_000_000))
    assert not never.met
    assert never.plan.latency_ns <= 18_000_000
    assert "no plan for up to 8 TPUs reaches 10000 inferences/s" in never.sentence
    slow = recommend(table, Target(latency_ns=1))
    assert (slow.met, shorthand(slow.plan)) == (False, "3")


def test_models_that_only_compile_in_parts() -> None:
    table = sweep_of([cost(3.0, 4.0)], range(2, 6), {1: "too large"})
    assert [row.copies for row in table.rows] == [None] * 4
    assert table.rows[0].pipeline is not None
    assert "nothing to copy" in recommend(table, Target()).sentence
    with pytest.raises(ValueError, match="no plan for 1 devices"):
        sweep_of([cost(3.0, 4.0)], [1])


def partitions(total: int, most: int) -> list[tuple[int, ...]]:
    """Every way to add numbers up to ``total``, each at most ``most``, descending."""
    if total == 0:
        return [()]
    return [
        (first, *rest)
        for first in range(min(total, most), 0, -1)
        for rest in partitions(total - first, first)
    ]


def served(parts: Sequence[Any], rates: Mapping[Any, float], cpu_s: Mapping[Any, float]) -> float:
    """Items per second of pipelines that share two cores.

    A price for the CPU that no mix of items can beat: for every price, what the CPU costs and what
    the pipelines earn beyond it is at least what they make, and for one of them it is just that.
    """
    prices = [0.0, *(1.0 / cpu_s[k] for k in parts if cpu_s[k])]
    return min(
        2.0 * price + sum(rates[k] * max(0.0, 1.0 - price * cpu_s[k]) for k in parts)
        for price in prices
    )


@settings(deadline=None, max_examples=100)
@given(
    st.dictionaries(
        st.integers(1, 6), st.tuples(st.integers(1, 10**8), st.integers(0, 10**8)), min_size=1
    ),
    st.integers(1, 9),
    st.floats(0.1, 1e4) | st.none(),
    st.integers(1, 10**9) | st.none(),
    st.integers(0, 10**8) | st.none(),
    st.sampled_from([0.0, 0.2]),
)
def test_against_every_combination(
    times: Mapping[int, tuple[int, int]],
    most: int,
    fps: float | None,
    latency: int | None,
    alike_ns: int | None,
    margin: float,
) -> None:
    """No sum of pipelines gives more, whose rates and latencies are worked out here by hand.

    Of the CPU each takes a time of its own, or all take ``alike_ns``.
    """
    bottlenecks = {k: bottleneck for k, (bottleneck, _) in times.items()}
    cpu = {k: cpu_ns if alike_ns is None else alike_ns for k, (_, cpu_ns) in times.items()}
    pipelines = {
        k: PipelineCost(tuple(range(1, k)), (b,) * k, cpu_ns=(0,) * (k - 1) + (cpu[k],))
        for k, b in bottlenecks.items()
    }
    rates = {k: 1e9 / b for k, b in bottlenecks.items()}
    cpu_s = {k: one / 1e9 for k, one in cpu.items()}
    everything = [
        (count, served(parts, rates, cpu_s), max(k * bottlenecks[k] for k in parts))
        for count in range(1, most + 1)
        for parts in partitions(count, most)
        if set(parts) <= set(pipelines)
    ]
    counts = [n for n in range(1, most + 1) if n >= min(pipelines)]
    if not counts:
        return
    table = sweep_of(list(pipelines.values()), counts, host_cores=2)
    for row in table.rows:
        reached = [rate for count, rate, _ in everything if count <= row.num_devices]
        assert row.best.throughput == pytest.approx(max(reached), rel=1e-9)
    advice = recommend(table, Target(fps, latency, margin))
    if fps is None and latency is None:
        return
    slack = 1.0 + margin
    meeting = [
        (count, rate)
        for count, rate, alone in everything
        if (fps is None or rate >= fps * slack) and (latency is None or alone * slack <= latency)
    ]
    assert advice.met == bool(meeting)
    if meeting:
        fewest = min(count for count, _ in meeting)
        assert advice.plan.num_devices == fewest
        best = max(rate for count, rate in meeting if count == fewest)
        assert advice.plan.throughput == pytest.approx(best, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 5))
def test_two_kinds_against_every_combination(data: st.DataObject, most: int) -> None:
    """No pipelines that share the TPUs and the two cores there are give more, of all that can be
    put together by hand."""
    available = {"fast": data.draw(st.integers(0, 3)), "slow": data.draw(st.integers(1, 3))}
    choices = [(a, b) for a in range(3) for b in range(3) if 0 < a + b <= most]
    times = st.tuples(st.integers(1, 99), st.integers(0, 99))
    found = data.draw(st.dictionaries(st.sampled_from(choices), times, min_size=1))
    pipelines = [
        PipelineCost(
            tuple(range(1, fast + slow)),
            (ms * 10**6,) * (fast + slow),
            cpu_ns=(cpu_ms * 10**6,),
            kinds=("fast",) * fast + ("slow",) * slow,
        )
        for (fast, slow), (ms, cpu_ms) in found.items()
    ]
    rates = {usage: 1e3 / ms for usage, (ms, _) in found.items()}
    cpu_s = {usage: cpu_ms / 1e3 for usage, (_, cpu_ms) in found.items()}

    def all_of(fast: int, slow: int, left: int) -> Iterator[tuple[tuple[int, int], ...]]:
        yield ()
        for a, b in found:
            if a <= fast and b <= slow and a + b <= left:
                for others in all_of(fast - a, slow - b, left - a - b):
                    yield ((a, b), *others)

    def rate(number: int) -> float:
        every = set(map(tuple, map(sorted, all_of(*available.values(), number))))
        return max(served(parts, rates, cpu_s) for parts in every)

    counts = [n for n in range(1, most + 1) if rate(n)]
    if not counts:
        return
    table = sweep_of(pipelines, counts, available=available, host_cores=2)
    for row in table.rows:
        assert row.best.throughput == pytest.approx(rate(row.num_devices))
        assert row.best.num_devices <= row.num_devices
        assert all(count <= available[kind] for kind, count in row.best.devices.items())


def test_a_pipeline_leaves_the_cpu_to_the_whole_model() -> None:
    """Three copies are limited to 40 a second; a pipeline of two needs a quarter of the core for
    its 50, and leaves 30 to a copy beside it."""
    whole = PipelineCost((), (30_000_000,), cpu_ns=(25_000_000,), cpu_operators=(5,))
    cut = PipelineCost((1,), (20_000_000,) * 2, cpu_ns=(0, 5_000_000), cpu_operators=(0, 1))
    table = sweep_of([whole, cut], range(1, 4), host_cores=1)
    best = table.rows[2].best
    assert (shorthand(best), best.throughput) == ("2+1", pytest.approx(80.0))
    assert best.rates == pytest.approx((50.0, 30.0))
    advice = recommend(table, Target(fps=70))
    assert shorthand(advice.plan) == "2+1"
    assert "deal items to them as 50 : 30" in advice.how_to_run
    assert "1 to 5 operators of every item for 5.000 to 25.000 ms" in advice.sentence
    assert "copies of this plan make 200.0 inferences/s at most" in advice.sentence


def test_the_cpu_is_shared() -> None:
    """10 ms of CPU for an item: one core serves 100 items a second, whatever the TPUs do."""
    model = PipelineCost((), (20_000_000,), cpu_ns=(10_000_000,), cpu_operators=(3,))
    table = sweep_of([model], range(1, 6), host_cores=1)
    assert [round(row.best.throughput) for row in table.rows] == [50, 100, 100, 100, 100]
    assert [row.best.num_devices for row in table.rows] == [1, 2, 2, 2, 2]
    advice = recommend(table, Target(fps=150))
    assert not advice.met
    assert (
        "copies of this plan make 100.0 inferences/s at most, however many TPUs" in advice.sentence
    )
    two = sweep_of([model], range(1, 6), host_cores=2)
    assert recommend(two, Target(fps=150)).plan.num_devices == 3
    unknown = PipelineCost((), (20_000_000,), cpu_ns=(None,), cpu_operators=(3,))
    advice = recommend(sweep_of([unknown], range(1, 6), host_cores=1), Target(fps=150))
    assert advice.met
    assert "these devices do not tell" in advice.sentence


def test_a_margin_is_kept() -> None:
    """50 inferences/s are 48 with 4 % to spare, and not with 20 %."""
    table = sweep_of([cost(20.0)], [1])
    assert recommend(table, Target(fps=48, margin=0.04)).met
    advice = recommend(table, Target(fps=48, margin=0.2))
    assert not advice.met
    assert "reaches 48 inferences/s with a margin of 20 %" in advice.sentence
    assert "Without the margin, the whole model would reach it" in advice.sentence
    assert recommend(table, Target(latency_ns=24_000_000, margin=0.2)).met
    assert not recommend(table, Target(latency_ns=23_000_000, margin=0.2)).met


def test_words() -> None:
    assert describe(copies(cost(1.0), 1)) == "the whole model"
    assert describe(copies(cost(1.0), 3)) == "3 copies of the whole model"
    assert describe(copies(cost(1.0, 1.0), 1)) == "a pipeline of 2 segments"
    assert describe(copies(cost(1.0, 1.0), 2)) == "2 copies of a pipeline of 2 segments"
    mixed = Plan((cost(1.0, 1.0), cost(1.0), cost(1.0)))
    assert describe(mixed) == "a pipeline of 2 segments beside 2 copies of the whole model"
    assert shorthand(mixed) == "2+2x1"
    kinds = PipelineCost((1,), (2, 2), kinds=("pcie", "usb"))
    assert describe(copies(kinds, 1)) == "a pipeline of 2 segments on 1 pcie and 1 usb"
    assert (
        describe(copies(kinds, 2))
        == "2 copies of a pipeline of 2 segments, each on 1 pcie and 1 usb"
    )
    assert describe(copies(PipelineCost((), (4,), kinds=("usb",)), 2)) == (
        "2 copies of the whole model on 2 usb"
    )
    assert len(plans([cost(1.0, 1.0), cost(1.0, 1.0, 1.0)], {"": 1}, 1)) == 0


def test_one_segment_is_a_problem_too() -> None:
    found = search_optimal(Problem(5, 1, ()), CostTable(lambda a, b: 10 * (b - a)))
    assert (found.cuts, found.bottleneck_ns, found.outcome) == ((), 50, "optimal")
