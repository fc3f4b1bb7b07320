"""The times of many inferences in a row, without a chip: all at once, equal to the nanosecond.

A simulated chip that only tells time repeats itself: the first inference brings the parameters,
all later ones take what the second took, times a random factor.  So a million of them are a few
operations on arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from devices.chip.config import DeviceConfig
from devices.chip.faults import factors
from devices.chip.simulated_chip import SimulatedChip
from devices.device import Tensor, TensorSpec, Timing

Durations = NDArray[np.int64]
"""Nanoseconds, one for each inference."""


@dataclass(frozen=True)
class TimedStage:
    """An executable on a chip: what it reads and makes, and how long each inference takes.

    ``cpu_ns`` is the part of ``latency_ns`` that operators on the host's CPU take.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    latency_ns: Durations
    cpu_ns: Durations


def repeats_itself(config: DeviceConfig) -> bool:
    """Whether :func:`timed_stage` can tell the times of such a device.

    It cannot where wall time is in them, and where faults make items fail or devices die.
    """
    return (
        config.clock == "virtual"
        and config.compute == "none"
        and all(fault.kind == "slow" for fault in config.faults)
    )


def timed_stage(name: str, config: DeviceConfig, executable: Path, inferences: int) -> TimedStage:
    """The times of the first ``inferences`` of an executable alone on a device of that name.

    Raises ``ModelError`` as loading it would.
    """
    chip = SimulatedChip(name, replace(config, noise_sigma=0.0, latency_scale=1.0, faults=()))
    loaded = chip.load(executable)
    zeros: Mapping[str, Tensor] = {
        spec.name: np.zeros(spec.shape, spec.dtype) for spec in loaded.inputs
    }
    first, later = (chip.execute(loaded.handle, zeros) for _ in range(2))
    factor = factors(config.noise_sigma, f"{config.noise_seed}/{name}", inferences)
    factor = config.latency_scale * factor
    for fault in config.faults:
        end = inferences if fault.count is None else fault.at - 1 + fault.count
        factor[fault.at - 1 : end] *= fault.factor
    total = np.zeros(inferences, np.int64)
    parts: dict[str, Durations] = {}
    for part in fields(Timing):
        whole = np.full(inferences, getattr(later, part.name), np.float64)
        whole[:1] = getattr(first, part.name)
        parts[part.name] = np.rint(whole * factor).astype(np.int64)
        total += parts[part.name]
    return TimedStage(loaded.inputs, loaded.outputs, total, parts["cpu_ns"])
