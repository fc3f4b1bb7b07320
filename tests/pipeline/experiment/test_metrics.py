"""From times to figures, against values worked out by hand."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.describing.goals import goal_of
from pipeline.experiment.measuring import _stage_times
from pipeline.experiment.metrics import (
    curve_of,
    drawn_of,
    interval_of,
    percentile,
    responses_of,
    stages_of,
    throughput_of,
)
from pipeline.experiment.times import Items, Repeat
from pipeline.observing import StageTrace
from pipeline.observing.trace import ItemRecord


def record(item: int, start: int, finish: int, depart: int, outcome: int = 0) -> ItemRecord:
    return ItemRecord(item, outcome, 0, start, finish, depart, *[0] * 11)


def test_throughput_counts_what_leaves_between_the_first_and_the_last() -> None:
    items = [(0, n, 0, 0, exit_ns) for n, exit_ns in enumerate([40, 10, 20, 30])]
    assert throughput_of(Items.of(items)) == pytest.approx(3e9 / 30)
    both = [(copy, n, 0, 0, 10 * n) for copy in (0, 1) for n in range(4)]
    assert throughput_of(Items.of(both)) == pytest.approx(2e9 / 10), "each copy by itself"
    assert throughput_of(Items.of(items[:1])) == 0
    assert throughput_of(Items.of([items[0], items[0]])) == 0
    assert throughput_of(Items.of([])) == 0


def test_response_is_from_when_the_item_was_there() -> None:
    items = Items.of([(0, 0, 5, 20, 50)])
    assert responses_of(items, queued=True).tolist() == [45]
    assert responses_of(items, queued=False).tolist() == [30]


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200), st.sampled_from([50, 90, 99]))
def test_a_percentile_is_the_smallest_that_so_many_are_at_or_under(
    values: list[int], share: int
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(v <= found for v in values) * 100 >= share * len(values)
    assert sum(v < found for v in values) * 100 < share * len(values)
    assert curve_of(values)[share] == found
    assert percentile([], share) is None


def test_the_interval_of_a_mean_is_students() -> None:
    # Mean 3, deviation sqrt(2.5), t(4) = 2.776: 3 +- 2.776 sqrt(2.5 / 5).
    low, high = interval_of([1, 2, 3, 4, 5])
    assert (low, high) == (pytest.approx(3 - 1.96293, abs=1e-4), pytest.approx(4.96293, abs=1e-4))
    assert interval_of([3]) == (-inf, inf)
    # t(60) is 2.000 in any table.
    wide = [0.0, 2.0] * 30 + [1.0]
    low, high = interval_of(wide)
    assert high - 1 == pytest.approx(2.000 * (60 / 60) ** 0.5 / 61**0.5, rel=2e-3)


def test_stages_wait_work_and_hold() -> None:
    """Two stages of 10 and 20 ns; item 0 is the warm-up, item 2 finds the second stage busy."""
    first = [record(0, 0, 10, 10), record(1, 30, 40, 40), record(2, 40, 50, 55)]
    second = [record(0, 10, 30, 30), record(1, 40, 60, 60), record(2, 60, 80, 80)]
    repeat = Repeat(
        items=Items.of([(0, 0, 25, 30, 60), (0, 1, 25, 40, 80)]),
        alone_ns=(),
        stages=(
            _stage_times(0, StageTrace(0, "usb:0", first, 0), 1),
            _stage_times(0, StageTrace(1, "usb:1", second, 0), 1),
        ),
        wanted=2,
    )
    begin, end = stages_of([repeat], queued=True)
    assert (begin.latency_ns, begin.wait_ns, begin.blocked_ns) == (10, 10, 2)
    assert (end.latency_ns, end.wait_ns, end.blocked_ns) == (20, 2, 0)
    assert (begin.utilization, end.utilization) == (20 / 50, 40 / 50)
    assert stages_of([repeat], queued=False)[0].wait_ns == 0, "a source that never lets wait"
    drawn = drawn_of(repeat)
    assert [(d.segment, d.item, d.start_ns, d.depart_ns) for d in drawn] == [
        (0, 0, 0, 10),
        (0, 1, 10, 25),
        (1, 0, 10, 30),
        (1, 1, 30, 50),
    ]


@pytest.mark.parametrize(
    ("text", "figures", "missed"),
    [
        ("p99 <= 33 ms", {"response_p99_ns": 33_000_000}, None),
        ("p99 <= 33 ms", {"response_p99_ns": 34_500_000}, "p99 <= 33 ms: is 34.5 ms"),
        ("p99 < 33ms", {"response_p99_ns": 33_000_000}, "p99 < 33ms: is 33 ms"),
        ("throughput >= 30/s", {"throughput_per_s": 29.5}, "throughput >= 30/s: is 29.5/s"),
        ("latency <= 0.5 s", {"latency_alone_ns": None}, "latency <= 0.5 s: was not measured"),
        ("lost <= 0", {"lost": 2}, "lost <= 0: is 2"),
    ],
)
def test_goals(text: str, figures: dict[str, float | None], missed: str | None) -> None:
    assert goal_of(text).missed(figures) == missed


def test_a_goal_for_energy_knows_what_is_not_known() -> None:
    goal = goal_of("energy <= 50 mJ")
    figures = {
        "joules_per_inference": 0.045,
        "joules_per_inference_low": 0.018,
        "joules_per_inference_high": 0.073,
    }
    assert goal.missed(figures) is None
    assert goal.near(figures, 1.29) == (
        "energy <= 50 mJ: is 45 mJ, and as far as powers and times are known may be 73 mJ"
    )
    assert goal_of("energy <= 0.08 J").near(figures, 1.29) is None
    assert goal_of("energy > 20 mJ").near(figures, 1.0) is not None
    assert goal_of("energy < 40000 uJ").missed(figures) == "energy < 40000 uJ: is 4.5e+04 uJ"
    with pytest.raises(ValueError, match="must have uJ, mJ or J behind the number"):
        goal_of("energy <= 50 ms")


def test_a_goal_that_the_model_cannot_promise_is_told() -> None:
    goal = goal_of("p99 <= 33 ms")
    assert goal.near({"response_p99_ns": 24_000_000}, 1.35) is None
    told = goal.near({"response_p99_ns": 25_000_000}, 1.35)
    assert told is not None
    assert told.startswith("p99 <= 33 ms: is 25 ms, so near")
    rate = goal_of("throughput >= 30/s")
    assert rate.near({"throughput_per_s": 41.0}, 1.35) is None
    assert rate.near({"throughput_per_s": 40.0}, 1.35) is not None
    assert goal_of("lost <= 0").near({"lost": 0}, 1.35) is None
