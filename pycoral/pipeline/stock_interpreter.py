"""An interpreter that was made without ``make_interpreter``, as a device for one segment.

It has a delegate that finds the Edge TPU by itself (``libedgetpu.so.1``), so there is no device to
hand its model to: the interpreter is the device, in this process, and its time is this computer's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from devices.device import Clock, Compute, Loaded, Tensor, TensorSpec, Timing
from devices.errors import DeviceError
from devices.local import LocalDevice


def stock_device(interpreter: Any, number: int, clock: Clock) -> LocalDevice:
    """The device that an allocated interpreter is; ``clock`` is that of the other segments."""
    return LocalDevice(_InterpreterChip(interpreter, f"interpreter:{number}", clock))


class _InterpreterChip:
    """Implements :class:`~devices.device.Chip`, whatever file it is told to load."""

    compute: Compute = "exact"

    def __init__(self, interpreter: Any, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self._interpreter = interpreter
        self._inputs = {d["name"]: d for d in interpreter.get_input_details()}
        self._outputs = {d["name"]: d for d in interpreter.get_output_details()}

    def load(self, executable: Path) -> Loaded:
        """Describe the interpreter's model; nothing is loaded."""
        return Loaded(
            handle=1,
            inputs=tuple(map(_spec, self._inputs.values())),
            outputs=tuple(map(_spec, self._outputs.values())),
            on_chip_bytes=0,
            off_chip_bytes=0,
        )

    def execute(self, handle: int, inputs: Mapping[str, Tensor]) -> Timing:
        """Invoke the interpreter.  Raises ``DeviceError`` with what it says."""
        start_ns = time.monotonic_ns()
        try:
            for name, detail in self._inputs.items():
                self._interpreter.set_tensor(detail["index"], inputs[name])
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise DeviceError(" ".join(str(error).split())) from error
        return Timing(cpu_ns=time.monotonic_ns() - start_ns)

    def fetch(self, handle: int, outputs: Mapping[str, Tensor]) -> None:
        """Copy the outputs."""
        for name, target in outputs.items():
            target[...] = self._interpreter.get_tensor(self._outputs[name]["index"])

    def unload(self, handle: int) -> None:
        """Do nothing: the interpreter is the program's."""


def _spec(detail: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(int(dimension) for dimension in detail["shape"])
    return TensorSpec(detail["name"], np.dtype(detail["dtype"]).name, shape)
