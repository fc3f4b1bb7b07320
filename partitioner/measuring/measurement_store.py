"""What was measured, kept for the next run: one that was stopped is gone on with.

A measurement is found by the contents of the executable, by the device (of simulated ones how they
are configured and the source of their model; of real ones the machine and their names) and by how
often it was to be repeated.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from dataclasses import asdict, replace
from pathlib import Path

import devices.chip
from devices import SimulatedDevice
from devices.device import Timing
from partitioner.measuring.bench import Measurement
from partitioner.measuring.device_kinds import DeviceKind
from partitioner.measuring.kept import KeptFiles
from partitioner.measuring.repeats import Estimate
from partitioner.problem import SegmentFacts


class MeasurementStore:
    """Measurements on one kind of device.  Safe to use from any thread."""

    def __init__(self, kept: KeptFiles, kind: DeviceKind) -> None:
        self.found: set[bytes] = set()
        """Executables that earlier runs had measured, as far as they were asked for."""
        self._kept = kept
        self._kind = _fingerprint(kind)

    def find(self, executable_sha256: bytes) -> Measurement | None:
        """What was measured of that executable, ``None`` if nothing was."""
        entry = self._kept.read(self._name(executable_sha256))
        if entry is None:
            return None
        try:
            content = json.loads(entry)
            estimate, facts = content["estimate"], content["facts"]
            measurement = Measurement(
                Estimate(**{**estimate, "samples": tuple(estimate["samples"])}),
                SegmentFacts(**{**facts, "cpu_operators": tuple(facts["cpu_operators"])}),
                Timing(**content["timing"]),
                content["load_ns"],
                content["device"],
            )
        except (ValueError, KeyError, TypeError):  # of a version that knew other facts
            return None
        self.found.add(executable_sha256)
        return measurement

    def keep(self, executable_sha256: bytes, measurement: Measurement) -> None:
        """Remember it."""
        self._kept.write(self._name(executable_sha256), json.dumps(asdict(measurement)).encode())

    def _name(self, executable_sha256: bytes) -> str:
        return hashlib.sha256(self._kind + executable_sha256).hexdigest()


def can_be_stored(kind: DeviceKind) -> bool:
    """Whether devices are the same the next time: not those that are to fail or to change."""
    configs = [device.config for device in kind.devices if isinstance(device, SimulatedDevice)]
    return not any(one.faults or one.heat or one.clock_changes for one in configs)


def _fingerprint(kind: DeviceKind) -> bytes:
    first = kind.devices[0]
    if isinstance(first, SimulatedDevice):
        told = f"{replace(first.config, faults=(), cpu_affinity=None)} {_model_sources()}"
    else:
        told = f"{kind.link} {platform.node()} {[device.name for device in kind.devices]}"
    return hashlib.sha256(told.encode()).digest()


@functools.cache
def _model_sources() -> str:
    """Hash of the simulated chip: another version of it takes other times."""
    content = hashlib.sha256()
    for path in sorted(Path(devices.chip.__path__[0]).glob("*.py")):
        content.update(path.read_bytes())
    return content.hexdigest()
