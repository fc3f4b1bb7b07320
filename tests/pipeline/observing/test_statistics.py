"""The histogram's precision, and counters as the host reads them."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import Timing
from pipeline.observing.statistics import (
    StageCounters,
    StageStatistics,
    StatisticsPage,
    bucket_middle_ns,
    bucket_of,
)


@given(st.integers(0, 2**46))
def test_a_bucket_stands_for_its_latencies(latency_ns: int) -> None:
    middle = bucket_middle_ns(bucket_of(latency_ns))
    assert abs(middle - latency_ns) <= latency_ns / 128
    assert bucket_of(latency_ns + 1) - bucket_of(latency_ns) in (0, 1)


def test_longer_than_a_day_counts_as_the_longest() -> None:
    assert bucket_of(2**60) == bucket_of(2**62)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_sorted_latencies(latencies: list[int]) -> None:
    memory = StatisticsPage.create()
    page, reader = StatisticsPage(os.dup(memory)), StatisticsPage(memory)
    counters = StageCounters()
    for latency in latencies:
        page.count(counters.add(Timing(compute_ns=latency)))
    page.store(counters)
    read = StageStatistics.read(0, "d", reader)
    ranked = sorted(latencies)
    for found, share in ((read.latency_p50_ns, 50), (read.latency_p99_ns, 99)):
        true = ranked[max(1, -(-len(ranked) * share // 100)) - 1]
        assert found == pytest.approx(true, rel=1 / 127, abs=0)
    assert read.latency_mean_ns == pytest.approx(np.mean(latencies))
    assert (read.counters.shortest_ns, read.counters.longest_ns) == (ranked[0], ranked[-1])
    page.close()
    reader.close()


def test_the_timing_adds_up() -> None:
    memory = StatisticsPage.create()
    page = StatisticsPage(memory)
    counters = StageCounters()
    assert counters.add(Timing(1, 2, 3, 4, 5, 6, 7)) == 28
    counters.add(Timing(10, 20, 30, 40, 50, 60, 70))
    page.store(counters)
    read = StageStatistics.read(3, "usb:1", page)
    assert read.timing == Timing(11, 22, 33, 44, 55, 66, 77)
    assert (read.segment, read.device, read.items) == (3, "usb:1", 2)
    page.close()


def test_a_new_page_says_idle_and_nothing_else() -> None:
    page = StatisticsPage(StatisticsPage.create())
    read = StageStatistics.read(0, "d", page)
    assert read.counters == StageCounters(item_in_work=-1)
    assert (read.latency_mean_ns, read.utilization, read.latency_p50_ns) == (0.0, 0.0, 0)
    page.begin(17)
    assert StageStatistics.read(0, "d", page).counters.item_in_work == 17
    page.close()
