"""One device to measure on: segments, and a reference that shows when the device itself changes.

A chip that gets hot is clocked down, another program may take the bus: then a device is slower
than it was, and a segment measured now cannot be compared with one measured before.  So every
device keeps one segment, the same for all, and times it again after each batch.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from devices.device import Device, Loaded, Tensor, Timing
from devices.errors import ModelError
from partitioner.measuring.executable_operators import ExecutableOperators, operators_of
from partitioner.measuring.random_tensors import random_tensors
from partitioner.measuring.repeats import Estimate, RepeatRule, measure_repeatedly
from partitioner.measuring.stopping import watched
from partitioner.problem import SegmentFacts

DRIFT = 0.05
"""Change of the reference's latency, beyond what its intervals allow, that counts as a change of
the device (5 %: thermal throttling of the Edge TPU halves its clock, jitter is a few percent)."""

_SEED = 0
"""Of the inputs."""


@dataclass(frozen=True)
class Measurement:
    """What running a segment told.

    ``timing``: where the nanoseconds of one warm run went (the run nearest to the median).
    ``load_ns``: what bringing its parameters onto the chip took, once.
    """

    estimate: Estimate
    facts: SegmentFacts
    timing: Timing
    load_ns: int
    device: str

    @property
    def latency_ns(self) -> int:
        return self.estimate.median_ns


class Bench:
    """Measures on one device.  Not for several threads at once.

    Methods raise what the device raises, ``DeviceDied`` also when it gave no answer for
    ``timeout_s`` seconds, and ``ModelError`` for an executable that it cannot load.
    """

    def __init__(self, device: Device, rule: RepeatRule, *, timeout_s: float) -> None:
        self.device = device
        self.scale = 1.0
        """What to divide this device's times by to compare them with its peers'."""
        self._rule = rule
        self._timeout_s = timeout_s
        self._reference: tuple[Loaded, dict[str, Tensor]] | None = None
        self._last: Estimate | None = None

    def measure(self, path: Path, *, compiler: str = "") -> Measurement:
        """Load an executable, warm the device up, time it, unload it."""
        with watched(self.device, self._timeout_s):
            loaded = self._load(path, compiler)
            inputs = random_tensors(loaded.inputs, _SEED)
            timings: list[Timing] = []
            result = self._time(loaded, inputs, timings)
            self.device.unload(loaded.handle)
        cold, warm = timings[0], timings[1:]
        typical = min(warm, key=lambda t: abs(t.total_ns - result.median_ns))
        scaled = result.scaled(1.0 / self.scale) if self.scale != 1.0 else result
        return Measurement(
            scaled,
            _facts_of(loaded, operators_of(path.read_bytes()), typical, scaled.median_ns),
            typical,
            cold.parameter_load_ns,
            self.device.name,
        )

    def time_reference(self, executable: bytes) -> Estimate:
        """How long the executable, always the same, takes now, on this device as it is.

        One run where it takes to the nanosecond what it took before.
        """
        with watched(self.device, self._timeout_s):
            if self._reference is None:
                with tempfile.TemporaryDirectory(prefix="reference-") as scratch:
                    path = Path(scratch) / "reference_edgetpu.tflite"
                    path.write_bytes(executable)
                    loaded = self._load(path, "")
                self._reference = loaded, random_tensors(loaded.inputs, _SEED)
            loaded, inputs = self._reference
            if self._last is not None:
                once = self.device.run(loaded.handle, inputs)[1]
                if once.total_ns - once.parameter_load_ns == self._last.median_ns:
                    return self._last
            self._last = self._time(loaded, inputs, [])
        return self._last

    def _load(self, path: Path, compiler: str) -> Loaded:
        try:
            return self.device.load(path)
        except ModelError as error:
            raise ModelError(
                f"{self.device.name} cannot load what the {compiler} compiler makes: {error}; use "
                "the built-in compiler or devices that execute its files"
            ) from error

    def _time(self, loaded: Loaded, inputs: dict[str, Tensor], timings: list[Timing]) -> Estimate:
        def run() -> int:
            timings.append(self.device.run(loaded.handle, inputs)[1])
            return timings[-1].total_ns

        run()
        cold = timings[0]
        return measure_repeatedly(run, self._rule, expected=cold.total_ns - cold.parameter_load_ns)


def differ(now: Estimate, before: Estimate) -> bool:
    """Whether the reference takes another time than it did, beyond noise."""
    allowed = DRIFT + now.half_width + before.half_width
    return abs(max(1, now.median_ns) / max(1, before.median_ns) - 1.0) > allowed


def _facts_of(
    loaded: Loaded, operators: ExecutableOperators, timing: Timing, latency_ns: int
) -> SegmentFacts:
    cpu_ns: int | None = 0
    if operators.on_cpu:
        # A real device tells the sum alone, as if all of it were computing.
        told = timing.cpu_ns or timing.total_ns != timing.compute_ns
        cpu_ns = round(timing.cpu_ns * latency_ns / max(1, timing.total_ns)) if told else None
        if not operators.on_edge_tpu:
            cpu_ns = latency_ns
    return SegmentFacts(
        on_chip_bytes=loaded.on_chip_bytes,
        off_chip_bytes=loaded.off_chip_bytes,
        input_bytes=sum(spec.size_bytes for spec in loaded.inputs),
        output_bytes=sum(spec.size_bytes for spec in loaded.outputs),
        cpu_operators=operators.on_cpu,
        cpu_ns=cpu_ns,
        on_edge_tpu=operators.on_edge_tpu,
    )
