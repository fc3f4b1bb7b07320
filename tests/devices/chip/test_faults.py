"""Faults hit the inferences they name; jitter repeats and is bell-shaped around one."""

from __future__ import annotations

import statistics

import pytest

from devices import ConfigError, Fault, Timing
from devices.chip.faults import Jitter, scaled


def test_a_fault_affects_its_inferences_only() -> None:
    once, thrice, always = Fault("slow", 4), Fault("slow", 4, count=3), Fault("slow", 4, count=None)
    hit = [[f.affects(n) for n in range(1, 9)] for f in (once, thrice, always)]
    assert [sum(row) for row in hit] == [1, 3, 5]
    assert [row.index(True) for row in hit] == [3, 3, 3]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "explode", "at": 1}, "kind of a fault is 'explode' and must be one of die, hang"),
        ({"kind": "die", "at": 0}, "at of a die fault is 0 and must be a whole number from 1"),
        ({"kind": "die", "at": True}, "at of a die fault is True"),
        ({"kind": "slow", "at": 1, "factor": -1}, "factor of a slow fault is -1"),
        ({"kind": "slow", "at": 1, "factor": float("nan")}, "factor of a slow fault is nan"),
        ({"kind": "slow", "at": 1, "count": 0}, "count of a slow fault is 0"),
    ],
)
def test_impossible_faults_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Fault(**fields)  # type: ignore[arg-type]


def test_jitter_repeats_for_a_seed_and_has_the_spread_asked_for() -> None:
    first, second = Jitter(0.05, "1/usb:0"), Jitter(0.05, "1/usb:0")
    draws = [first.factor() for _ in range(4_000)]
    assert draws == [second.factor() for _ in range(4_000)]
    assert statistics.mean(draws) == pytest.approx(1.0, abs=0.005)
    assert statistics.stdev(draws) == pytest.approx(0.05, rel=0.05)
    assert all(0.7 <= draw <= 1.3 for draw in draws)
    assert Jitter(0.05, "2/usb:0").factor() != draws[0]


def test_jitter_is_never_negative_and_absent_without_sigma() -> None:
    assert min(factors := [Jitter(1.0, str(n)).factor() for n in range(500)]) == 0.0
    assert max(factors) < 7.0
    assert Jitter(0.0, "x").factor() == 1.0


def test_the_draws_are_the_same_on_every_machine() -> None:
    jitter = Jitter(0.1, "0/usb:0")
    assert [round(1e9 * jitter.factor()) for _ in range(3)] == KNOWN


KNOWN = [996106051, 967369899, 950817281]


def test_scaling_rounds_every_part() -> None:
    timing = Timing(1, 2, 3, 4, 5, 6, 7)
    assert scaled(timing, 2.5) == Timing(2, 5, 8, 10, 12, 15, 18)
    assert scaled(timing, 1.0) is timing
