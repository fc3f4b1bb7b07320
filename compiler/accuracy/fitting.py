"""The numbers of chip and hosts that explain measured latencies best.

Least squares over the logarithms of measured and predicted latency, by Gauss-Newton steps in the
logarithms of the numbers, so that all stay positive and errors count in per cent.  What the
latencies say little about is held by what is known beforehand: where each number lies for its kind
of link, and within which factor (:data:`PRIORS`).  Errors far above :data:`OUTLIER` hardly count:
published figures of one network on one host differ by up to a half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.accuracy.measured import Measured
from compiler.accuracy.predicting import Compiled, compiled, predicted
from devices.chip import CYCLES, HOSTS, ChipCycles, Host, LatencyModel
from devices.device import Timing

FITTED = (
    "overhead_ns",
    "input_ns_per_byte",
    "output_ns_per_byte",
    "stream_bytes_per_ns",
    "cpu_factor",
)
"""The numbers of a host that are fitted; uploading is measured by itself."""

PRIORS: dict[str, tuple[tuple[float, float], ...]] = {
    "usb3": ((300_000, 1.5), (2.8, 1.4), (11.0, 1.4), (0.40, 1.2), (1.0, 2.0)),
    "usb2": ((400_000, 1.5), (28.0, 1.2), (95.0, 1.3), (0.034, 1.2), (8.0, 2.0)),
    "pcie": ((100_000, 1.6), (2.6, 1.4), (11.0, 1.3), (0.38, 1.1), (1.0, 2.0)),
}
"""For each kind of link and each of :data:`FITTED`, what it is about, and within which factor.

Taken from measurements of single transfers and of tiny networks, not from the latencies fitted."""

SMALL_BOARDS = frozenset({"dev-board", "cm4", "pi4-usb3", "jetson-usb3", "rk3399", "pi5-usb3"})
"""Their CPUs are taken to be about four times as slow as a desktop's, beforehand."""

SMALL_BOARD_CPU = (4.0, 1.5)

CYCLE_PRIORS = ((1.0, 1.05), (10.0, 1.3), (0.42, 1.2))
"""For the fields of :class:`~devices.chip.ChipCycles`: 4096 MACs a cycle is the array's size."""

NOISE = 0.10
"""About how far two careful measurements of one network on one kind of host differ."""

CHAIN_COUNTS = 0.1
"""How much a chain of equal layers counts beside a network: there are many, all of one source."""

OUTLIER = 0.15
_STEPS = 12
_NUDGE = 0.01


@dataclass(frozen=True)
class Numbers:
    """The chip's and the hosts' numbers, fitted or in use."""

    cycles: ChipCycles
    hosts: dict[str, Host]

    def timing(self, network: Compiled, measured: Measured) -> Timing:
        """What they make of a measurement."""
        host = self.hosts[measured.host]
        return predicted(network, LatencyModel(host, measured.clock_mhz, self.cycles))


def numbers_in_use() -> Numbers:
    """Those the product has."""
    return Numbers(CYCLES, dict(HOSTS))


def fit(
    measured: Sequence[Measured],
    networks: Callable[[str], Compiled] = compiled,
    start: Numbers | None = None,
    steps: int = _STEPS,
) -> Numbers:
    """The numbers that explain these measurements best, from the priors or from a ``start``."""
    names = sorted({one.host for one in measured})
    centre, width = _priors(names)
    values = centre.copy() if start is None else _values(names, start)
    found = [networks(one.network) for one in measured]
    counts = np.array([CHAIN_COUNTS if one.is_synthetic else 1.0 for one in measured]) / NOISE**2
    for _ in range(steps):
        errors, slopes = _linear(names, values, measured, found)
        weights = counts / (1 + (errors / OUTLIER) ** 2)
        left = (slopes.T * weights) @ slopes + np.diag(1 / width**2)
        right = (slopes.T * weights) @ errors + (centre - values) / width**2
        values = values + np.clip(np.linalg.solve(left, right), -0.5, 0.5)
    fitted = _numbers(names, values)
    return Numbers(fitted.cycles, {**HOSTS, **fitted.hosts})


def _linear(
    names: Sequence[str],
    values: NDArray[np.float64],
    measured: Sequence[Measured],
    networks: Sequence[Compiled],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithmic errors, and how predictions follow the logarithms of the numbers.

    Most of a host's numbers are factors of one part of the time, whose share is the slope.
    """
    base = _numbers(names, values)
    timings = [base.timing(n, m) for n, m in zip(networks, measured, strict=True)]
    totals = [timing.total_ns for timing in timings]
    errors = np.array(
        [math.log(m.latency_ms * 1e6 / ns) for m, ns in zip(measured, totals, strict=True)]
    )
    shared = len(CYCLE_PRIORS)
    slopes = np.zeros((len(measured), len(values)))
    for row, (one, timing, ns) in enumerate(zip(measured, timings, totals, strict=True)):
        first = shared + names.index(one.host) * len(FITTED)
        parts = (timing.overhead_ns, timing.input_ns, timing.output_ns, 0, timing.cpu_ns)
        slopes[row, first : first + len(FITTED)] = np.array(parts) / ns
    first_rate = shared + FITTED.index("stream_bytes_per_ns")
    rates = [first_rate + len(FITTED) * index for index in range(len(names))]
    for columns in (*([column] for column in range(shared)), rates):
        nudged = values.copy()
        nudged[columns] += _NUDGE
        changed = _numbers(names, nudged)
        for row, (network, one, ns) in enumerate(zip(networks, measured, totals, strict=True)):
            slope = math.log(changed.timing(network, one).total_ns / ns) / _NUDGE
            column = columns[0] if len(columns) == 1 else rates[names.index(one.host)]
            slopes[row, column] = slope
    return errors, slopes


def _priors(names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = list(CYCLE_PRIORS)
    for name in names:
        host = HOSTS[name]
        kind = host.link if host.link == "pcie" else "usb2" if _is_usb2(host) else "usb3"
        pairs += PRIORS[kind]
        if name in SMALL_BOARDS:
            pairs[-1] = SMALL_BOARD_CPU
    return (
        np.array([math.log(value) for value, _ in pairs]),
        np.array([math.log(factor) for _, factor in pairs]),
    )


def _is_usb2(host: Host) -> bool:
    return host.stream_bytes_per_ns < 0.1


def _numbers(names: Sequence[str], values: NDArray[np.float64]) -> Numbers:
    numbers = [float(value) for value in np.exp(values)]
    hosts = {}
    for index, name in enumerate(names):
        start = len(CYCLE_PRIORS) + index * len(FITTED)
        mine: dict[str, Any] = dict(zip(FITTED, numbers[start : start + len(FITTED)], strict=True))
        hosts[name] = replace(HOSTS[name], **(mine | {"overhead_ns": round(mine["overhead_ns"])}))
    return Numbers(ChipCycles(*numbers[: len(CYCLE_PRIORS)]), hosts)


def _values(names: Sequence[str], numbers: Numbers) -> NDArray[np.float64]:
    cycles = [getattr(numbers.cycles, field.name) for field in fields(ChipCycles)]
    hosts = [getattr(numbers.hosts[name], field) for name in names for field in FITTED]
    return np.log(np.array([*cycles, *hosts], np.float64))
