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
    quiet = replace(config, noise_sigma=0.0, latency_scale=1.0, faults=())
    loaded, first, later = _two_of(
        SimulatedChip(name, replace(quiet, shared_link=None)), executable
    )
    uses: list[LinkUse] = []
    if config.shared_link is not None:
        _, *linked = _two_of(SimulatedChip(name, quiet), executable)
        uses = [timing.use for timing in linked if isinstance(timing, SharedTiming)]
    factor = factors(config.noise_sigma, f"{config.noise_seed}/{name}", inferences)
    factor = config.latency_scale * factor
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
