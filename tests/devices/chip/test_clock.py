"""Waiting on the monotonic clock."""

from __future__ import annotations

import time

from devices.chip.clock import Pacer, wait_until_ns


def test_never_early_and_usually_within_microseconds() -> None:
    late = []
    for _ in range(40):
        deadline_ns = time.monotonic_ns() + 1_000_000
        reported = wait_until_ns(deadline_ns)
        now_ns = time.monotonic_ns()
        assert now_ns >= deadline_ns
        assert 0 <= reported <= now_ns - deadline_ns
        late.append(now_ns - deadline_ns)
    assert min(late) < 50_000  # the best, because the machine may be busy


def test_most_of_a_wait_is_sleep() -> None:
    cpu_ns = time.thread_time_ns()
    wait_until_ns(time.monotonic_ns() + 100_000_000)
    assert time.thread_time_ns() - cpu_ns < 20_000_000


def test_a_deadline_in_the_past_returns_at_once_and_says_how_late() -> None:
    assert wait_until_ns(time.monotonic_ns() - 5_000) >= 5_000


def test_overruns_are_counted_and_added_up() -> None:
    pacer = Pacer()
    assert pacer.occupy_until(time.monotonic_ns() + 1_000_000) == 0
    assert (pacer.overruns, pacer.overrun_ns) == (0, 0)
    first = pacer.occupy_until(time.monotonic_ns() - 1_000_000)
    second = pacer.occupy_until(time.monotonic_ns() - 2_000_000)
    assert first >= 1_000_000
    assert second >= 2_000_000
    assert (pacer.overruns, pacer.overrun_ns) == (2, first + second)
