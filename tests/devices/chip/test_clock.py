"""Waiting on the monotonic clock."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from devices.chip import clock
from devices.chip.clock import SPIN_NS, Pacer, wait_until_ns

LOOK_NS = 40
"""What looking at the clock takes."""


@dataclass
class Clock:
    """A clock of which a look takes a moment, and a sleep as long as asked and a little more."""

    late_ns: int = 75_000
    now_ns: int = 10**18
    slept_ns: int = 0

    def monotonic_ns(self) -> int:
        self.now_ns += LOOK_NS
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.slept_ns += round(seconds * 1e9)
        self.now_ns += round(seconds * 1e9) + self.late_ns


@pytest.fixture
def a_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr(clock, "time", ticking)
    return ticking


def test_never_early_on_the_clock_of_the_system() -> None:
    for _ in range(40):
        deadline_ns = time.monotonic_ns() + 1_000_000
        reported = wait_until_ns(deadline_ns)
        now_ns = time.monotonic_ns()
        assert now_ns >= deadline_ns
        assert 0 <= reported <= now_ns - deadline_ns


def test_within_a_look_where_a_sleep_is_as_late_as_usual(a_clock: Clock) -> None:
    deadline_ns = a_clock.now_ns + 1_000_000
    assert 0 <= wait_until_ns(deadline_ns) < LOOK_NS
    assert 0 <= a_clock.now_ns - deadline_ns < LOOK_NS


def test_as_late_as_a_sleep_that_is_later(a_clock: Clock) -> None:
    a_clock.late_ns = 5_000_000
    deadline_ns = a_clock.now_ns + 1_000_000
    assert wait_until_ns(deadline_ns) == pytest.approx(5_000_000 - SPIN_NS, abs=3 * LOOK_NS)


def test_most_of_a_wait_is_sleep(a_clock: Clock) -> None:
    wait_until_ns(a_clock.now_ns + 100_000_000)
    assert a_clock.slept_ns >= 100_000_000 - SPIN_NS - LOOK_NS


def test_a_deadline_in_the_past_returns_at_once_and_says_how_late(a_clock: Clock) -> None:
    assert wait_until_ns(a_clock.now_ns - 5_000) == 5_000 + LOOK_NS
    assert a_clock.slept_ns == 0


def test_overruns_are_counted_and_added_up(a_clock: Clock) -> None:
    pacer = Pacer()
    assert pacer.occupy_until(a_clock.now_ns + 1_000_000) == 0
    assert (pacer.overruns, pacer.overrun_ns) == (0, 0)
    assert pacer.occupy_until(a_clock.now_ns - 1_000_000) == 1_000_000 + LOOK_NS
    assert pacer.occupy_until(a_clock.now_ns - 2_000_000) == 2_000_000 + LOOK_NS
    assert (pacer.overruns, pacer.overrun_ns) == (2, 3_000_000 + 2 * LOOK_NS)
