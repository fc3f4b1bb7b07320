"""Temperatures against the differential equation they solve, and what a driver makes of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import ConfigError, DeviceConfig
from devices.chip import APEX_TRIP_POINTS_C, Heat, Temperature
from devices.chip.warmth import ACCELERATOR, heat_at, power_of

S = 10**9
PLAIN = Heat(ambient_c=20.0, resistance_k_per_w=10.0, capacity_j_per_k=2.0, trip_c=(), poll_s=1.0)
IDLE_W = ACCELERATOR.idle.likely


def temperature(heat: Heat = PLAIN, leakage: float = 0.0) -> Temperature:
    return Temperature(heat, ACCELERATOR, leakage)


def test_it_begins_as_warm_as_it_gets_idle_and_stays_there() -> None:
    body = temperature()
    assert body.celsius == pytest.approx(20 + 10 * IDLE_W)
    body.pass_time(1000 * S, 0.0)
    assert body.celsius == pytest.approx(20 + 10 * IDLE_W)


def test_one_time_constant_covers_all_but_one_in_e() -> None:
    body = temperature()
    body.pass_time(20 * S, 3.0)  # R C = 20 s
    assert body.celsius == pytest.approx(20 + 10 * IDLE_W + 30 * (1 - 1 / math.e), rel=1e-12)
    body.pass_time(20 * S, 0.0)
    assert body.celsius == pytest.approx(20 + 10 * IDLE_W + 30 * (1 - 1 / math.e) / math.e)
    assert body.peak_c == pytest.approx(20 + 10 * IDLE_W + 30 * (1 - 1 / math.e))


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 4)), max_size=8), st.floats(0, 0.05))
@settings(max_examples=25, deadline=None)
def test_it_solves_the_equation(stretches: list[tuple[int, float]], leakage: float) -> None:
    """Against Runge-Kutta in steps of 50 ms, with the energy that leakage adds beside."""
    body = temperature(leakage=leakage)
    celsius, leaked_j, step_s = body.celsius, 0.0, 0.05

    def slope(at_c: float, dynamic_w: float) -> float:
        drawn_w = IDLE_W + dynamic_w + leakage * (at_c - 54)
        return (drawn_w - (at_c - 20) / 10) / 2

    for seconds, dynamic_w in stretches:
        body.pass_time(seconds * S, dynamic_w)
        for _ in range(round(seconds / step_s)):
            a = slope(celsius, dynamic_w)
            b = slope(celsius + a * step_s / 2, dynamic_w)
            c = slope(celsius + b * step_s / 2, dynamic_w)
            d = slope(celsius + c * step_s, dynamic_w)
            leaked_j += leakage * (celsius - 54) * step_s / 2
            celsius += (a + 2 * b + 2 * c + d) / 6 * step_s
            leaked_j += leakage * (celsius - 54) * step_s / 2
    assert body.celsius == pytest.approx(celsius, abs=1e-6)
    assert body.leaked_j == pytest.approx(leaked_j, abs=1e-3)


@given(st.lists(st.integers(0, 3 * S), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_how_time_is_cut_into_pieces_does_not_matter(pieces: list[int]) -> None:
    heat = Heat(20.0, 10.0, 2.0, (40.0, 45.0, 48.0), 1.0)
    whole, parts = temperature(heat), temperature(heat)
    whole.pass_time(sum(pieces), 3.0)
    for piece in pieces:
        parts.pass_time(piece, 3.0)
    assert parts.celsius == pytest.approx(whole.celsius, rel=1e-9)
    assert parts.most_mhz == whole.most_mhz


def test_the_driver_slows_down_when_it_looks_and_not_before() -> None:
    heat = Heat(20.0, 10.0, 2.0, (40.0, 45.0, 48.0), 5.0)
    body = temperature(heat)
    assert body.most_mhz == 500
    body.pass_time(4 * S, 10.0)  # 25 + 100 (1 - e^-0.2) = 43.1 C, not looked at yet
    assert body.celsius > 40
    assert body.most_mhz == 500
    body.pass_time(1 * S, 10.0)  # 5 s: 47.1 C
    assert body.most_mhz == 125
    body.pass_time(5 * S, 10.0)
    assert body.most_mhz == 63
    body.pass_time(3600 * S, 0.0)
    assert body.most_mhz == 500


def test_a_dev_board_is_as_warm_as_was_published() -> None:
    """54 C idle is published; so is T = ambient + R (P load + 2.41 + 0.0138 T) for it."""
    power = power_of("dev-board")
    for resistance, load_w in ((10.0, 0.0), (11.5, 0.0), (10.75, 1.5)):
        heat, leakage = heat_at(
            Heat(ambient_c=20.0, resistance_k_per_w=resistance), "dev-board", "pcie", power
        )
        settled_c = Temperature(heat, power, leakage).settled_c(load_w)
        published = (20 + resistance * (load_w + 2.41)) / (1 - 0.0138 * resistance)
        assert settled_c == pytest.approx(published, abs=0.15)


def test_what_is_left_to_the_host() -> None:
    pcie, _ = heat_at(Heat(), "pcie-x86", "pcie", ACCELERATOR)
    usb, leakage = heat_at(Heat(capacity_j_per_k=7.0), "usb3-x86", "usb", ACCELERATOR)
    assert pcie.trip_c == APEX_TRIP_POINTS_C
    assert usb.trip_c == ()
    assert usb.capacity_j_per_k == 7.0
    assert leakage == 0.0


def test_the_trip_points_are_on_the_grid_of_the_sensor() -> None:
    """The driver converts 10 bits to 550 + 250 n thousandths of a degree."""
    for trip in APEX_TRIP_POINTS_C:
        assert round(1000 * trip - 550) % 250 == 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"ambient_c": 200}, "ambient_c of heat is 200 and must be a number from -40 to 150"),
        ({"poll_s": 0}, "poll_s of heat is 0 and must be a number from 0.001 to 3600"),
        ({"resistance_k_per_w": True}, "resistance_k_per_w of heat is True and must be a number"),
        ({"trip_c": (90.0, 80.0)}, "trip_c of heat is .* and must be a list of up to 3 rising"),
        ({"trip_c": (1.0, 2.0, 3.0, 4.0)}, "must be a list of up to 3 rising temperatures, such"),
        ({"capacity_j_per_k": math.nan}, "capacity_j_per_k of heat is nan and must be a number"),
    ],
)
def test_impossible_heat_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Heat(**fields)


def test_a_board_that_would_warm_up_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"warms up without end, as it .* 72$"):
        DeviceConfig(host="dev-board", link="pcie", heat=Heat(resistance_k_per_w=73.0))
