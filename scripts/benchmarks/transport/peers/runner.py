"""Our whole product between ``push`` and ``pop``: ``PipelinedModelRunner`` over four devices.

The devices are real device processes; only the chip in them is the benchmark's own.  It does what
every stage does here, copy in, be busy, copy out, because the simulated TPU does either more
(compute exactly) or less (time only, no copies) than the other transports' stages.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from devices.device import Clock, Compute, Loaded, TensorSpec, Timing
from devices.hosted import ProcessDevice
from pipeline.runner import PipelinedModelRunner

from ..item import STAGES, WORK_NS, Tensor, new_tensor, received_word, words
from ..pipelines import Pipeline
from ..stage import sleep_until_ns


class BenchmarkChip:
    """A :class:`devices.device.Chip` that hands its input on; see :func:`transport.stage`."""

    clock: Clock = "realtime"
    compute: Compute = "exact"

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self, executable: Path) -> Loaded:
        """The "executable" is the stage's number and the size of its tensor in bytes."""
        number, size_bytes = json.loads(executable.read_text())
        self._at = received_word(number)
        self._tensor = new_tensor(size_bytes)
        self._words = words(self._tensor)
        self._input, self._output = _name(number), _name(number + 1)
        specs = [TensorSpec(name, "uint8", (size_bytes,)) for name in (self._input, self._output)]
        return Loaded(0, (specs[0],), (specs[1],), 0, 0)

    def execute(self, handle: int, inputs: Mapping[str, Tensor]) -> Timing:
        """Copy in, and be busy for as long as the item says."""
        np.copyto(self._tensor, inputs[self._input])
        received_ns = time.monotonic_ns()
        work_ns = self._words[WORK_NS]
        if work_ns:
            sleep_until_ns(received_ns + work_ns)
        worked_ns = time.monotonic_ns()
        self._words[self._at] = received_ns
        self._words[self._at + 1] = worked_ns
        return Timing(compute_ns=worked_ns - received_ns)

    def fetch(self, handle: int, outputs: Mapping[str, Tensor]) -> None:
        """Copy out."""
        self._words[self._at + 2] = time.monotonic_ns()
        np.copyto(outputs[self._output], self._tensor)

    def unload(self, handle: int) -> None:
        """Nothing is kept that the next ``load`` does not replace."""


def _name(number: int) -> str:
    return f"tensor {number}"


class RunnerPipeline(Pipeline):
    """The device processes are started for the first size and kept for the others."""

    _devices: tuple[ProcessDevice, ...] = ()

    def __init__(self, size_bytes: int, slots: int, directory: Path) -> None:
        super().__init__(size_bytes, slots)
        if not RunnerPipeline._devices:
            RunnerPipeline._devices = _start_devices()
        self._executables = []
        for number in range(STAGES):
            self._executables.append(directory / f"{size_bytes}-{number}.json")
            self._executables[-1].write_text(json.dumps([number, size_bytes]))
        # As many items may wait in front of a stage as elsewhere.  The one in work is not among
        # them: other stages have copied it out of the queue, ours keeps a slot more for it.
        self._runner = PipelinedModelRunner(
            self._executables, RunnerPipeline._devices, queue_size=slots
        )
        self._first, self._last = _name(0), _name(STAGES)

    def send(self, tensor: Tensor) -> None:
        self._runner.push({self._first: tensor})

    def receive(self) -> Tensor:
        outputs = self._runner.pop()
        assert outputs is not None
        return outputs[self._last]

    def close(self) -> None:
        self._runner.close()
        for executable in self._executables:
            executable.unlink()

    @classmethod
    def shut_down(cls) -> None:
        for device in cls._devices:
            device.ask_to_close()
        for device in cls._devices:
            device.close()
        cls._devices = ()


def _start_devices() -> tuple[ProcessDevice, ...]:
    names = [f"benchmark:{number}" for number in range(STAGES)]
    devices = tuple(
        ProcessDevice(
            name,
            partial(BenchmarkChip, name),
            link="usb",
            clock=BenchmarkChip.clock,
            compute=BenchmarkChip.compute,
            wait=False,
        )
        for name in names
    )
    for device in devices:
        device.wait_ready()
    return devices
