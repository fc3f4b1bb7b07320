"""What a device goes through: hand-worked histories, and draws of a known shape."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import pytest

from devices import ConfigError, DeviceConfig, Timing
from devices.chip import ClockChange, Heat, Life
from devices.chip.faults import Tail, tail_factors
from devices.chip.warmth import ACCELERATOR, power_of

S = 10**9


def work_of(mhz_ns: int, cpu_ns: int = 0) -> Any:
    """A timing of so much work at 500 MHz, by the clock."""
    return lambda clock_mhz: Timing(compute_ns=mhz_ns * 500 // clock_mhz, cpu_ns=cpu_ns)


def test_nothing_happens_to_a_plain_device() -> None:
    life = Life(DeviceConfig(), "usb:0")
    timing = Timing(overhead_ns=7, compute_ns=5)
    assert life.inference(0, lambda _: timing) is timing
    assert (life.clock_mhz, life.temperature) == (500, None)


def test_times_go_on_from_the_last_inference_where_nobody_tells_them() -> None:
    life = Life(DeviceConfig(), "usb:0")
    life.inference(None, work_of(3))
    life.inference(1000, work_of(5))  # the first that has a time: nothing passes before
    assert (life.age_ns, life.busy_ns) == (8, 8)
    life.inference(1010, work_of(5))  # 5 of rest
    life.inference(None, work_of(5))
    assert (life.age_ns, life.busy_ns) == (23, 18)
    life.inference(0, work_of(5))  # another stream, another beginning
    life.inference(7, work_of(5))  # 2 of rest
    assert (life.age_ns, life.busy_ns) == (35, 28)


def test_the_clock_changes_when_it_is_told_to() -> None:
    changes = (ClockChange(1.0, 250), ClockChange(2.0, 63), ClockChange(3.0, 500))
    life = Life(DeviceConfig(clock_changes=changes), "usb:0")
    found = [life.wait_until(at) for at in (0, S - 1, S, 2 * S, 3 * S)]
    assert found == [500, 500, 250, 63, 500]
    assert Life(DeviceConfig(clock_changes=(ClockChange(0, 125),)), "x").clock_mhz == 125


def test_a_hot_device_takes_longer_and_recovers_when_it_rests() -> None:
    """40 + 20 x 0.5 = 50 C idle, 80 C under full load; trips at 60 C, looked at every 5 s."""
    heat = Heat(40.0, 20.0, 1.0, (60.0,), 5.0)  # R C = 20 s
    config = DeviceConfig(link="pcie", heat=heat)
    life = Life(config, "pcie:0")
    taken, start = [], 0
    for _ in range(20):
        timing = life.inference(start, work_of(S))
        taken.append(timing.total_ns)
        start += timing.total_ns
    # 80 - 30 e^(-t/20): 56.6 C after 5 s, 61.8 C after 10 s.  At 250 MHz it settles at 65 C.
    assert taken == [S] * 10 + [2 * S] * 10
    assert life.temperature is not None
    assert 61.8 < life.temperature.celsius < 65
    assert life.inference(start + 60 * S, work_of(S)).total_ns == S


def test_what_the_cpu_does_warms_nothing() -> None:
    config = DeviceConfig(heat=Heat(25.0, 10.0, 1.0))
    idle, waiting = Life(config, "a"), Life(config, "a")
    waiting.inference(0, work_of(0, cpu_ns=50 * S))
    assert idle.temperature is not None
    assert waiting.temperature is not None
    assert waiting.temperature.celsius == pytest.approx(idle.temperature.celsius)
    assert (waiting.busy_ns, waiting.working_mhz_ns) == (50 * S, 0)


def test_less_clock_is_less_power() -> None:
    assert ACCELERATOR.dynamic("likely") == pytest.approx(1.5)
    assert ACCELERATOR.dynamic("likely", 125) == pytest.approx(0.375)
    config = DeviceConfig(clock_mhz=250, heat=Heat(25.0, 10.0, 1.0))
    life = Life(config, "a")
    life.inference(0, work_of(500 * S))
    assert life.temperature is not None
    assert life.temperature.celsius == pytest.approx(25 + 10 * (0.5 + 0.75))


def factors(count: int = 4_000, name: str = "usb:0", **fields: Any) -> list[float]:
    life = Life(DeviceConfig(**fields), name)
    return [life.inference(None, work_of(10**6)).total_ns / 10**6 for _ in range(count)]


def test_the_tail_has_the_share_and_the_shape_asked_for() -> None:
    drawn = factors(20_000, noise_tail=0.3)
    assert drawn == factors(20_000, noise_tail=0.3)
    late = sorted(factor for factor in drawn if factor > 1.0)
    assert min(drawn) == 1.0
    assert len(late) / len(drawn) == pytest.approx(0.3, abs=0.015)
    assert statistics.median(late) == pytest.approx(2**0.5, rel=0.03)
    assert sum(factor > 5 for factor in late) / len(late) == pytest.approx(1 / 25, abs=0.01)
    assert max(drawn) <= 1000


def test_many_draws_at_once_are_those_one_by_one() -> None:
    tail = Tail(0.2, "3/usb:1/tail")
    assert [tail.factor() for _ in range(1_000)] == tail_factors(
        0.2, "3/usb:1/tail", 1_000
    ).tolist()


def test_noise_without_a_tail_is_what_it_was() -> None:
    """The tail has draws of its own, so turning it on changes no other inference."""
    plain, tailed = factors(500, noise_sigma=0.1), factors(500, noise_sigma=0.1, noise_tail=0.1)
    same = [a == b for a, b in zip(plain, tailed, strict=True)]
    assert 0.8 < sum(same) / len(same) < 1


def test_units_differ_and_stay_what_they_are() -> None:
    units = [factors(3, f"usb:{number}", unit_sigma=0.1) for number in range(2_000)]
    assert all(len(set(unit)) == 1 for unit in units)
    values = [unit[0] for unit in units]
    assert statistics.stdev(values) == pytest.approx(0.1, rel=0.06)
    assert statistics.mean(values) == pytest.approx(1, abs=0.01)
    assert factors(1, "usb:0", unit_sigma=0.1, noise_seed=1) != [values[0]]
    assert min(factors(1, f"{n}", unit_sigma=0.5)[0] for n in range(300)) >= 0.1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"noise_tail": 2}, "noise_tail of a device is 2 and must be a number from 0 to 1"),
        ({"unit_sigma": 0.6}, "unit_sigma of a device is 0.6 and must be a number from 0 to 0.5"),
        ({"power": (("peak", 2.0),)}, "power names 'peak' and can name idle_w, active_w"),
        ({"power": (("idle_w", -1.0),)}, "idle_w of power is -1.0 and must be a number from 0"),
        ({"power": (("idle_w", 3.0),)}, "power gives 2 W active and 3 W idle"),
        (
            {"clock_changes": (ClockChange(2, 63), ClockChange(1, 63))},
            "clock_changes of a device are at 2, 1 s and must be at rising times",
        ),
        ({"heat": {}}, "heat of a device is {} and must be a Heat"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        DeviceConfig(**fields)


def test_impossible_changes_of_the_clock_are_refused() -> None:
    with pytest.raises(ConfigError, match="at_s of a clock change is -1 and must be a number"):
        ClockChange(-1, 250)
    with pytest.raises(ConfigError, match="clock_mhz of a clock change is 300 and must be one of"):
        ClockChange(1, 300)


def test_a_power_that_is_set_is_taken_as_exact() -> None:
    power = power_of("usb3-x86", (("active_w", 1.4),))
    assert power.assumed == ("idle",)
    assert power.dynamic("likely") == pytest.approx(0.9)
    assert replace(power.active, low=0, high=0).likely == power.active.low == power.active.high
