"""The times of many inferences in a row, without a chip: all at once, equal to the nanosecond.

A simulated chip that only tells time, and does not age, repeats itself: the first inference brings
the parameters, all later ones take what the second took, times a random factor.  So a million of
them are a few operations on arrays.  One that ages has to be asked for one after another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from devices.chip.config import DeviceConfig
from devices.chip.faults import factors, tail_factors, unit_factor
from devices.chip.life import Life
from devices.chip.sharing import LinkUse, SharedTiming
from devices.chip.simulated_chip import SimulatedChip
from devices.device import Loaded, Tensor, TensorSpec, Timing

Durations = NDArray[np.int64]
"""Nanoseconds, one for each inference."""


@dataclass(frozen=True)
class TimedStage:
    """An executable on a chip: what it reads and makes, and how long each inference takes.

    ``cpu_ns`` is the part of ``latency_ns`` that operators on the host's CPU take, ``parts`` are
    those of a :class:`~devices.device.Timing`, in their order.  On a link that devices share,
    ``first_use`` and ``use`` say how the first inference and all others occupy it.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    latency_ns: Durations
    cpu_ns: Durations
    parts: tuple[Durations, ...]
    first_use: LinkUse | None = None
    use: LinkUse | None = None

    def timing(self, inference: int) -> Timing:
        """What the chip says of an inference, the first being 0."""
        parts = [int(part[inference]) for part in self.parts]
        use = self.use if inference else self.first_use
        return Timing(*parts) if use is None else SharedTiming(*parts, use=use)


def is_calculable(config: DeviceConfig) -> bool:
    """Whether the times of such a device can be told without its process.

    They cannot where wall time is in them, and where faults make items fail or devices die.
    """
    return (
        config.clock == "virtual"
        and config.compute == "none"
        and all(fault.kind == "slow" for fault in config.faults)
    )


def ages(config: DeviceConfig) -> bool:
    """Whether its times depend on what it did before: only :class:`AgeingStage` has them then."""
    return Life(config, "").ages


def timed_stage(name: str, config: DeviceConfig, executable: Path, inferences: int) -> TimedStage:
    """The times of the first ``inferences`` of an executable alone on a device of that name.

    Raises ``ModelError`` as loading it would.
    """
    quiet = replace(
        config, noise_sigma=0.0, noise_tail=0.0, unit_sigma=0.0, latency_scale=1.0, faults=()
    )
    loaded, first, later = _two_of(
        SimulatedChip(name, replace(quiet, shared_link=None)), executable
    )
    uses: list[LinkUse] = []
    if config.shared_link is not None:
        _, *linked = _two_of(SimulatedChip(name, quiet), executable)
        uses = [timing.use for timing in linked if isinstance(timing, SharedTiming)]
    seed = f"{config.noise_seed}/{name}"
    scale = config.latency_scale * unit_factor(config.unit_sigma, f"{seed}/unit")
    factor = scale * factors(config.noise_sigma, seed, inferences)
    if config.noise_tail:
        factor *= tail_factors(config.noise_tail, f"{seed}/tail", inferences)
    for fault in config.faults:
        end = inferences if fault.count is None else fault.at - 1 + fault.count
        factor[fault.at - 1 : end] *= fault.factor
    parts: dict[str, Durations] = {}
    for part in fields(Timing):
        whole = np.full(inferences, getattr(later, part.name), np.float64)
        whole[:1] = getattr(first, part.name)
        parts[part.name] = np.rint(whole * factor).astype(np.int64)
    if uses:
        _keep_to_link(parts, *uses)
    total: Durations = np.sum(list(parts.values()), axis=0)
    ordered = tuple(parts.values())
    return TimedStage(loaded.inputs, loaded.outputs, total, parts["cpu_ns"], ordered, *uses)


def _two_of(chip: SimulatedChip, executable: Path) -> tuple[Loaded, Timing, Timing]:
    """What the first two inferences of an executable take."""
    loaded = chip.load(executable)
    zeros: Mapping[str, Tensor] = {
        spec.name: np.zeros(spec.shape, spec.dtype) for spec in loaded.inputs
    }
    first, later = (chip.execute(loaded.handle, zeros) for _ in range(2))
    return loaded, first, later


def _keep_to_link(parts: dict[str, Durations], first: LinkUse, later: LinkUse) -> None:
    """Nothing is faster than the link, as :func:`~devices.chip.sharing.on_link` has it."""
    for rows, use in ((slice(0, 1), first), (slice(1, None), later)):
        for name, least in (
            ("parameter_load_ns", use.load_ns),
            ("input_ns", use.input_ns),
            ("streaming_ns", use.streaming_ns - parts["compute_ns"][rows]),
            ("output_ns", use.output_ns),
        ):
            np.maximum(parts[name][rows], least, out=parts[name][rows])


class AgeingStage:
    """An executable on a chip that ages: how long an inference takes when it starts at a time."""

    def __init__(self, name: str, config: DeviceConfig, executable: Path) -> None:
        """Alone on a device of that name.  Raises ``ModelError`` as loading it would."""
        self._chip = SimulatedChip(name, config)
        loaded = self._chip.load(executable)
        self.inputs, self.outputs = loaded.inputs, loaded.outputs
        self._handle = loaded.handle
        self._zeros = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in loaded.inputs}
        self.cpu_ns: list[int] = []
        """Of every inference so far, what operators on the host's CPU took."""

    def latency_at(self, start_ns: int) -> int:
        """The latency of the next inference, in ns."""
        self._chip.starts_at(start_ns)
        timing = self._chip.execute(self._handle, self._zeros)
        self.cpu_ns.append(timing.cpu_ns)
        return timing.total_ns
