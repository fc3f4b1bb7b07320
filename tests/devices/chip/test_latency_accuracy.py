"""The latency model against latencies that others measured (scripts/checks)."""

from __future__ import annotations

import importlib.util
import statistics
import sys
from pathlib import Path
from types import ModuleType

import pytest

from devices.chip.constants import USB_JETSON
from devices.chip.latency import LatencyModel


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    path = Path(__file__).parents[3] / "scripts" / "checks" / "latency_accuracy.py"
    spec = importlib.util.spec_from_file_location("latency_accuracy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["latency_accuracy"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "points", "median", "worst"),
    [("Coral", 9, 0.06, 0.10), ("JV conv", 12, 0.04, 0.21)],
)
def test_published_latencies(
    accuracy: ModuleType, source: str, points: int, median: float, worst: float
) -> None:
    errors = [abs(case.error()) for case in accuracy.cases() if case.source == source]
    assert len(errors) == points
    assert statistics.median(errors) < median
    assert max(errors) < worst


def test_dense_networks(accuracy: ModuleType) -> None:
    """Spilled ones by proportion; the others take a tenth of a millisecond, mostly unexplained."""
    for case in accuracy.cases():
        if case.source == "JV dense":
            if case.measured_ms > 1:
                assert abs(case.error()) < 0.02, case.network
            else:
                assert abs(case.predicted_ms() - case.measured_ms) < 0.12, case.network


def test_the_slope_of_a_chain_of_large_convolutions(accuracy: ModuleType) -> None:
    """7 x 7, 32 filters, 128 x 128 on a Jetson Nano: 7.8174 ms for 10, 40.7324 ms for 50."""
    measured_ms = (40.7324 - 7.8174) / 40
    modelled_ms = LatencyModel(USB_JETSON).compute_ns(accuracy.conv(128, 32, 32, 7)) / 1e6
    assert modelled_ms == pytest.approx(measured_ms, rel=0.08)


def test_what_it_prints(accuracy: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:4] == ["Coral", "MobileNet", "V2", "224"]
    assert lines[-3].startswith("Coral: 9 points, absolute error median")
