"""Devices that give back what they get, as threads of this process.

Items say whose they are, so that a result tells who pushed it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from devices import Clock, Compute, Loaded, LocalDevice, TensorSpec, Timing
from devices.device import Tensor

SHAPE = (1, 3)
DTYPE = "int64"


class EchoChip:
    """Implements :class:`devices.Chip`: the output is the input, after ``work_s``.

    An item that is marked so fails.
    """

    clock: Clock = "virtual"
    compute: Compute = "exact"

    def __init__(self, name: str, work_s: float) -> None:
        self.name = name
        self._work_s = work_s
        self._sides: dict[int, tuple[str, str]] = {}
        self._output: dict[int, Tensor] = {}

    def load(self, executable: Path) -> Loaded:
        reads, makes = json.loads(executable.read_text())
        handle = len(self._sides) + 1
        self._sides[handle] = reads, makes
        specs = [(TensorSpec(name, DTYPE, SHAPE),) for name in (reads, makes)]
        return Loaded(handle, specs[0], specs[1], 0, 0)

    def execute(self, handle: int, inputs: Mapping[str, Tensor]) -> Timing:
        if self._work_s:
            time.sleep(self._work_s)  # the work of the chip; nothing is waited for
        if inputs[self._sides[handle][0]][0, 2]:
            raise ValueError("marked to fail")
        self._output[handle] = inputs[self._sides[handle][0]].copy()
        return Timing(compute_ns=1000)

    def fetch(self, handle: int, outputs: Mapping[str, Tensor]) -> None:
        np.copyto(outputs[self._sides[handle][1]], self._output[handle])

    def unload(self, handle: int) -> None:
        self._sides.pop(handle, None)


def item(owner: int, index: int, fails: bool = False) -> dict[str, Tensor]:
    """An item that says who pushed it, and as which of his."""
    return {"x": np.array([[owner, index, fails]], DTYPE)}


def told(outputs: Mapping[str, Tensor]) -> tuple[int, int]:
    """Whose result this is, and of which item."""
    return int(outputs["y"][0, 0]), int(outputs["y"][0, 1])


def line(directory: Path, stages: int, work_s: float) -> tuple[list[Path], list[LocalDevice]]:
    """Executables and devices of so many stages in a row."""
    names = ["x", *(f"t{index}" for index in range(stages - 1)), "y"]
    paths = []
    for index in range(stages):
        path = directory / f"{stages}_{index}.json"
        path.write_text(json.dumps([names[index], names[index + 1]]))
        paths.append(path)
    return paths, [LocalDevice(EchoChip(f"echo:{index}", work_s)) for index in range(stages)]
