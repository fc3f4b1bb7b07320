"""Predicted beside measured latencies: the fit on made-up hosts, and what is told."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.accuracy import (
    Compiled,
    Measured,
    Numbers,
    Row,
    fit,
    latency_report,
    measurements,
    rows,
)
from compiler.accuracy.__main__ import main
from compiler.accuracy.examples import host_examples
from compiler.accuracy.reporting import plot, spread_of
from devices.chip import HOSTS, ChipCycles
from tests.devices.tiny_executables import info, work


def network(seed: int) -> Compiled:
    """Convolutions, depthwise ones, streaming and a CPU part, in proportions of their own."""
    size, channels = 7 * (1 + seed % 5), 32 * (1 + seed % 3)
    spatial = {
        "output_height": size,
        "output_width": size,
        "output_channels": channels,
        "input_channels": channels,
        "kernel_height": 3,
        "kernel_width": 3,
    }
    moved = {"input_bytes": size * size * channels, "output_bytes": size * size * channels}
    operators = [
        work("CONV_2D", **spatial, **moved, parameter_bytes=9 * channels * channels),
        *[work("DEPTHWISE_CONV_2D", **spatial, **moved, parameter_bytes=640)] * (1 + seed % 7),
        work(
            "FULLY_CONNECTED",
            macs=10**6,
            parameter_bytes=10**6 * (1 + seed % 4),
            on_chip=seed % 2 == 0,
        ),
        work("SOFTMAX", "cpu", input_bytes=10**5 * (seed % 6)),
    ]
    return Compiled(info(*operators), 50_000 * (1 + seed % 4), 1_000 * (1 + seed % 9) ** 2)


TRUTH = Numbers(
    ChipCycles(0.97, 12.0, 0.45),
    {
        name: replace(
            HOSTS[name],
            overhead_ns=350_000,
            input_ns_per_byte=3.1,
            output_ns_per_byte=9.0,
            stream_bytes_per_ns=0.42,
            cpu_factor=1.5,
        )
        for name in ("usb3-x86", "pi4-usb3")
    },
)


def made_up(count: int) -> list[Measured]:
    found = []
    for seed in range(count):
        blank = Measured(str(seed), ("usb3-x86", "pi4-usb3")[seed % 2], 500, 0.0, "made up")
        latency_ms = TRUTH.timing(network(seed), blank).total_ns / 1e6
        found.append(replace(blank, latency_ms=latency_ms))
    return found


def test_the_fit_predicts_what_it_has_not_seen() -> None:
    measured = made_up(90)
    numbers = fit(measured[:60], lambda name: network(int(name)))
    for one in measured[60:]:
        ms = numbers.timing(network(int(one.network)), one).total_ns / 1e6
        assert ms == pytest.approx(one.latency_ms, rel=0.05)


def test_one_wrong_measurement_does_not_spoil_the_fit() -> None:
    measured = made_up(61)
    measured[7] = replace(measured[7], latency_ms=3 * measured[7].latency_ms)
    numbers = fit(measured[:60], lambda name: network(int(name)))
    ms = numbers.timing(network(60), measured[60]).total_ns / 1e6
    assert ms == pytest.approx(measured[60].latency_ms, rel=0.05)


def test_a_network_held_out_is_not_seen() -> None:
    """A wrong measurement changes the predictions of all others, and not its own."""
    measured = made_up(12)
    wrong = [*measured[:-1], replace(measured[-1], latency_ms=1.2 * measured[-1].latency_ms)]

    def held_out(which: list[Measured]) -> list[float]:
        return [row.held_out_ms for row in rows(which, lambda name: network(int(name)))]

    before, after = held_out(measured), held_out(wrong)
    assert after[-1] == pytest.approx(before[-1], rel=0.002)
    assert any(abs(a / b - 1) > 0.005 for a, b in zip(after[:-1], before[:-1], strict=True))


@given(st.lists(st.floats(-0.6, 2.0), min_size=1, max_size=60), st.floats(0.1, 1.0))
@settings(deadline=None)
def test_the_spread_holds_its_share(errors: list[float], share: float) -> None:
    spread = spread_of(errors, share)
    inside = sum(abs(math.log1p(error)) <= math.log1p(spread) + 1e-9 for error in errors)
    assert inside >= share * len(errors)


def test_every_published_measurement_names_a_host() -> None:
    for one in measurements():
        assert one.host in HOSTS
        assert one.latency_ms > 0
        assert one.clock_mhz in (250, 500)
        assert one.source


ROWS = [
    Row(Measured("net", "usb3-x86", 500, 2.0, "somebody"), 2.2, 1.6),
    Row(Measured("net", "pi4-usb3", 250, 4.0, "somebody"), 4.0, 5.0),
    Row(Measured("synthetic_fc5_N100", "pcie-x86", 500, 0.1, "somebody"), 0.1, 0.11),
]


def test_the_report() -> None:
    text = latency_report(ROWS)
    assert "| net | usb3-x86 | 2.00 ms | 2.20 ms | +10% | 1.60 ms | -20% | somebody |" in text
    assert "| net | pi4-usb3 at 250 MHz | 4.00 ms |" in text
    assert "| all hosts | 2 | 5.0% | 9.0% | 10.0% | 22.5% | 24.5% | 25.0% | x or / 1.25 |" in text
    assert "| chains of dense layers, pcie-x86 | 1 |" in text


def test_the_picture_is_one() -> None:
    root = ET.fromstring(plot(ROWS))
    circles = [node for node in root.iter() if node.tag.endswith("circle")]
    assert [node.get("class") for node in circles] == ["real", "real", "chain"]
    assert all(0 <= float(node.get("cx", "-1")) <= 640 for node in circles)


def test_a_folder_is_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([]) == 2
    assert main([str(tmp_path)]) == 2
    assert "no .tflite file" in capsys.readouterr().err


def test_every_host_has_an_example_beside_what_was_measured_there() -> None:
    table = host_examples(measurements())
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert [row[0].split(" at ")[0] for row in rows] == list(HOSTS)
    measured_on = {one.host for one in measurements() if not one.is_synthetic}
    for name, _, *numbers, within, found in rows:
        *parts, total = map(float, numbers)
        assert total == pytest.approx(sum(parts), abs=0.04)
        low, high = map(float, within.split(" to "))
        assert low < total < high
        assert (found == "none is published") == (name.split(" at ")[0] not in measured_on)
