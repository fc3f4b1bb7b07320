"""Energy, temperature and pace of a point, against what is worked out by hand."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from devices import DeviceConfig, PoolConfig
from devices.chip import ClockChange, Heat
from pipeline.experiment.history import Course, courses_of, joules_of, pace_of
from pipeline.experiment.times import Items, Repeat, StageTimes

S = 10**9


def stage(device: str, *spans: tuple[int, ...], segment: int = 0, warmup: int = 0) -> StageTimes:
    """Start, finish and CPU time of every item; the first of them are warm-up."""
    rows = np.array([(*span, 0)[:3] for span in spans], np.int64)
    start, finish, cpu = rows[warmup:].T
    number = np.arange(len(start))
    zeros = np.zeros_like(start)
    return StageTimes(0, segment, device, number, start, finish, finish, cpu, zeros, rows[:warmup])


def repeat_of(*stages: StageTimes) -> Repeat:
    """An item is there from the start of its first stage to the end of its last."""
    first, last = stages[0], stages[-1]
    zeros = np.zeros_like(first.number)
    items = Items(zeros, first.number, zeros, first.start_ns, last.finish_ns)
    return Repeat(items=items, alone_ns=(), stages=stages, wanted=len(items))


def items_leaving(exits: list[int]) -> Items:
    return Items.of([(0, number, 0, 0, at) for number, at in enumerate(exits)])


def test_energy_is_idle_power_always_and_dynamic_power_at_work() -> None:
    """Two devices of 0.5 and 2 W for 10 s; they work 4 and 3 s, one of these for the CPU."""
    first = stage("usb:0", (0, 2 * S), (5 * S, 7 * S))
    second = stage("usb:1", (2 * S, 3 * S), (7 * S, 10 * S, S), segment=1)
    found = joules_of([repeat_of(first, second)], PoolConfig((DeviceConfig(),) * 2))
    assert found is not None
    assert found.likely == pytest.approx((2 * 0.5 * 10 + 1.5 * 7) / 2)
    assert found.low == pytest.approx((2 * 0.2 * 10 + 0.8 * 7) / 2)
    assert found.high == pytest.approx((2 * 1.0 * 10 + 1.5 * 7) / 2)


def test_warm_up_is_not_counted_and_half_the_clock_is_half_the_power() -> None:
    items = stage("usb:0", (0, 5 * S), (5 * S, 10 * S), warmup=1)
    config = DeviceConfig(clock_mhz=250, power=(("active_w", 3.0), ("idle_w", 1.0)))
    found = joules_of([repeat_of(items)], PoolConfig((config,)))
    assert found is not None
    assert (found.low, found.likely, found.high) == pytest.approx([10.0] * 3)


def test_a_clock_that_changes_changes_power_from_there_on() -> None:
    items = stage("usb:0", *[(n * S, (n + 1) * S) for n in range(4)])
    config = DeviceConfig(
        clock_changes=(ClockChange(2.0, 125),), power=(("active_w", 2.0), ("idle_w", 0.0))
    )
    found = joules_of([repeat_of(items), repeat_of(items)], PoolConfig((config,)))
    assert found is not None
    assert found.likely == pytest.approx((2 * 2.0 + 2 * 0.5) / 4)
    assert joules_of([replace(repeat_of(items), items=Items.of([]))], PoolConfig((config,))) is None


def test_leakage_of_a_warm_board_is_counted() -> None:
    """It rests for long at another temperature than its idle power is told for."""
    heat = Heat(ambient_c=-20.0, resistance_k_per_w=10.75, capacity_j_per_k=1e-3)
    config = DeviceConfig(link="pcie", host="dev-board", heat=heat)
    items = stage("pcie:0", (0, 1), (1000 * S, 1000 * S + 1))
    found = joules_of([repeat_of(items)], PoolConfig((config,)))
    settled_c = (-20 + 10.75 * 2.41) / (1 - 0.0138 * 10.75)
    watts = 2.41 + 0.0138 * settled_c
    assert found is not None
    assert found.likely == pytest.approx(500 * watts, rel=3e-3)  # 3.15 W is rounded


def test_a_course_is_what_the_device_went_through() -> None:
    """Idle 30 C, R C = 1 s, 45 C at work; the driver looks every second."""
    heat = Heat(25.0, 10.0, 0.1, (40.0,), 1.0)
    items = stage("pcie:0", *[(n * S, (n + 1) * S) for n in range(4)], warmup=1)
    repeat = repeat_of(items)
    pool = PoolConfig((DeviceConfig(link="pcie", heat=heat),))
    (course,) = courses_of(repeat, pool)
    assert course.at_ns[:3] == (0, S, 2 * S)
    assert course.clock_mhz[:3] == (500, 250, 500)
    # 45 - 15/e, then on towards 45, then at half the power towards 37.5
    assert course.celsius[:3] == pytest.approx((39.482, 42.970, 39.512), abs=1e-3)
    assert Course.from_dict(json.loads(json.dumps(asdict(course)))) == course
    assert courses_of(repeat, PoolConfig((DeviceConfig(link="pcie"),))) == ()
    changing = PoolConfig((DeviceConfig(link="pcie", clock_changes=(ClockChange(2.5, 63),)),))
    (course,) = courses_of(repeat, changing)
    assert course.clock_mhz[:3] == (500, 500, 63)
    assert course.celsius == ()
    assert courses_of(replace(repeat, items=Items.of([])), pool) == ()


def test_the_pace_is_items_per_second_up_to_each_moment() -> None:
    """Ten a second for twenty seconds, then five: sixty stretches of about five items."""
    exits = [n * S // 10 for n in range(201)] + [20 * S + n * S // 5 for n in range(1, 401)]
    pace = pace_of(items_leaving(exits))
    assert len(pace) == 60
    assert [rate for at, rate in pace if at <= 20 * S] == pytest.approx([10.0] * 20)
    assert [rate for at, rate in pace if at > 20 * S] == pytest.approx([5.0] * 40)
    assert pace[-1][0] == exits[-1]
    assert pace_of(items_leaving(list(range(19)))) == ()
