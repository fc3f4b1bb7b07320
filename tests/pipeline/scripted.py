"""A chip that does what its executable, a JSON file, says: scripted numbers, times and faults.

Importable in device processes.  Every element of an output is a hash of the sums of all inputs,
so a tensor that is stale, swapped or late shows.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from devices import Clock, Compute, Deadlines, Loaded, LocalDevice, ModelError, TensorSpec, Timing
from devices.chip import LinkUse, SharedTiming
from devices.device import Tensor
from devices.hosted.process_device import ProcessDevice


@dataclass
class Script:
    """An executable.  ``latencies_ns`` repeat from the start when they are used up.

    ``die_at`` kills at that inference, ``die_on`` at inputs of that :func:`fingerprint`.
    At inference ``gate_at`` (counted from 0) the chip opens the named pipe ``gate`` for reading
    and stays there until the test has opened and closed it for writing.
    With ``transfers``, which repeat, too, inputs and outputs take a link that devices share: how
    long each occupies it, and the input how long alone.
    One that ``remembers`` adds the hash of all inputs so far, which nobody can read if ``hidden``;
    an inference that fails changes it, too.
    """

    inputs: list[tuple[str, str, list[int]]]
    outputs: list[tuple[str, str, list[int]]]
    latencies_ns: list[int] = field(default_factory=lambda: [1000])
    fail_at: list[int] = field(default_factory=list)
    fail_fetch_at: list[int] = field(default_factory=list)
    die_at: int = -1
    die_on: int = -1
    gate_at: int = -1
    gate: str = ""
    transfers: list[tuple[int, int, int]] = field(default_factory=list)
    remembers: bool = False
    hidden: bool = False

    def write(self, path: Path) -> Path:
        path.write_text(json.dumps(asdict(self)))
        return path


def tensor(name: str, dtype: str = "int8", shape: Sequence[int] = (1, 4)) -> tuple[Any, ...]:
    return name, dtype, list(shape)


def line(count: int, **fields: Any) -> list[Script]:
    """``count`` stages in a row: x -> t0 -> t1 -> ... -> y."""
    names = ["x", *(f"t{index}" for index in range(count - 1)), "y"]
    return [
        Script([tensor(names[i])], [tensor(names[i + 1])], **fields)  # type: ignore[list-item]
        for i in range(count)
    ]


def fingerprint(script: Script, inputs: Mapping[str, Tensor], memory: int = 0) -> int:
    """What tells these inputs of the chip, after the others it remembers, from others."""
    return zlib.crc32(
        b"".join(np.ascontiguousarray(inputs[n]).tobytes() for n, *_ in script.inputs), memory
    )


def computed(script: Script, inputs: Mapping[str, Tensor], memory: int = 0) -> dict[str, Tensor]:
    """What the chip makes of these inputs."""
    total = fingerprint(script, inputs, memory)
    return {
        name: np.full(shape, (total + zlib.crc32(name.encode())) % 101).astype(dtype)
        for name, dtype, shape in script.outputs
    }


def whole(
    scripts: Sequence[Script], inputs: Mapping[str, Tensor], memories: dict[int, int] | None = None
) -> dict[str, Tensor]:
    """All tensors of one item, computed here, stage after stage.

    ``memories`` are those of the stages that remember, and are brought up to date.
    """
    tensors = dict(inputs)
    memories = {} if memories is None else memories
    for index, script in enumerate(scripts):
        memory = memories.get(index, 0)
        made = computed(script, tensors, memory)
        if script.remembers:
            memories[index] = fingerprint(script, tensors, memory)
        tensors |= made
    return tensors


class ScriptedChip:
    """Implements :class:`devices.device.StatefulChip`."""

    def __init__(self, name: str, clock: Clock = "virtual", compute: Compute = "exact") -> None:
        self.name = name
        self.clock: Clock = clock
        self.compute: Compute = compute
        self._scripts: dict[int, Script] = {}
        self._calls: dict[int, int] = {}
        self._outputs: dict[int, dict[str, Tensor]] = {}
        self._memories: dict[int, int] = {}

    def load(self, executable: Path) -> Loaded:
        if not executable.exists():
            raise ModelError(f"{executable} does not exist")
        script = Script(**json.loads(executable.read_text()))
        handle = len(self._calls) + 1
        self._scripts[handle] = script
        self._calls[handle] = 0
        specs = [
            tuple(TensorSpec(name, dtype, tuple(shape)) for name, dtype, shape in side)
            for side in (script.inputs, script.outputs)
        ]
        self._memories[handle] = 0
        state_bytes = None if script.hidden else 8 * script.remembers
        return Loaded(handle, specs[0], specs[1], 0, 0, state_bytes)

    def execute(self, handle: int, inputs: Mapping[str, Tensor]) -> Timing:
        script, call = self._scripts[handle], self._calls[handle]
        self._calls[handle] += 1
        assert sorted(inputs) == sorted(name for name, *_ in script.inputs)
        if call == script.gate_at:
            with open(script.gate, "rb") as gate:
                gate.read()
        if call == script.die_at or fingerprint(script, inputs) == script.die_on:
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()
        memory = self._memories[handle]
        if script.remembers:
            self._memories[handle] = fingerprint(script, inputs, memory)
        if call in script.fail_at:
            raise ValueError(f"scripted failure {call}")
        self._outputs[handle] = computed(script, inputs, memory)
        if call in script.fail_fetch_at:
            self._outputs[handle] = {}
        latency_ns = script.latencies_ns[call % len(script.latencies_ns)]
        if script.transfers:
            given, alone, fetched = script.transfers[call % len(script.transfers)]
            use = LinkUse(input_ns=given, output_ns=fetched)
            return SharedTiming(0, 0, max(alone, given), latency_ns, 0, fetched, 0, use=use)
        return Timing(compute_ns=latency_ns)

    def fetch(self, handle: int, outputs: Mapping[str, Tensor]) -> None:
        for name, target in outputs.items():
            np.copyto(target, 0 if self.compute == "none" else self._outputs[handle][name])

    def reset(self, handle: int) -> None:
        self._memories[handle] = 0

    def save_state(self, handle: int, target: Tensor) -> None:
        target.view(np.int64)[0] = self._memories[handle]

    def restore_state(self, handle: int, source: Tensor) -> None:
        self._memories[handle] = int(source.view(np.int64)[0])

    def unload(self, handle: int) -> None:
        del self._scripts[handle]


def local_device(name: str, clock: Clock = "virtual", compute: Compute = "exact") -> LocalDevice:
    return LocalDevice(ScriptedChip(name, clock, compute))


def process_device(
    name: str,
    clock: Clock = "virtual",
    compute: Compute = "exact",
    deadlines: Deadlines | None = None,
) -> ProcessDevice:
    return ProcessDevice(
        name,
        partial(ScriptedChip, name, clock, compute),
        link="usb",
        clock=clock,
        compute=compute,
        deadlines=deadlines,
        wait=False,
    )
