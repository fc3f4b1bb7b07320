"""What the compiler makes and a device loads: the description of an executable.

The file is a ``.tflite`` in which a custom operator, ``edgetpu-custom-op``, stands for mapped
operators; those that stay on the CPU are in front of it and behind it.  There may be several, each
a *part* that the chip runs in one go.  This module holds the plain data; the file is written in
:mod:`devices.executable.sealing` and read in :mod:`devices.executable.file`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from devices.device import TensorSpec

CUSTOM_OPERATOR = "edgetpu-custom-op"
"""Custom code of the operator that stands for a mapped part, as in Google's files."""

FORMAT_VERSION = 2
"""1 sealed the whole file, so that nothing could be added to it."""


@dataclass(frozen=True)
class OperatorWork:
    """How much one operator asks of the chip (or, with ``target="cpu"``, of the host).

    Spatial and channel counts are those of the NHWC output and kernel, 0 where meaningless.
    ``parameter_bytes`` is the size as laid out for the chip, padding included; ``on_chip`` tells
    whether it is cached there or streamed at every inference (True when it has none).
    ``input_bytes``/``output_bytes`` count activations only.
    """

    name: str
    target: Literal["tpu", "cpu"]
    macs: int
    input_bytes: int
    output_bytes: int
    output_height: int
    output_width: int
    output_channels: int
    input_channels: int
    kernel_height: int
    kernel_width: int
    parameter_bytes: int
    on_chip: bool


@dataclass(frozen=True)
class ExecutableInfo:
    """Everything a part of an executable says about itself.

    ``caching_token`` is the 64-bit number by which the runtime tells whose parameters the chip
    holds (0: caches nothing).  ``on_chip_offset_bytes`` is where its cached parameters start in
    the chip's parameter memory; the parts of a model, and co-compiled models, follow one another,
    all others start at 0.  ``instruction_bytes`` is the instruction stream, sent anew with every
    inference.  ``operators`` lists mapped operators first, then those on the CPU in front of the
    first part, and those on the CPU behind the part up to the next, each in execution order.
    """

    min_runtime_version: int
    caching_token: int
    on_chip_offset_bytes: int
    instruction_bytes: int
    available_on_chip_bytes: int
    operators: tuple[OperatorWork, ...]

    @property
    def on_chip_bytes(self) -> int:
        """Parameter bytes cached on the chip."""
        return sum(w.parameter_bytes for w in self.operators if w.target == "tpu" and w.on_chip)

    @property
    def off_chip_bytes(self) -> int:
        """Parameter bytes streamed from the host at every inference."""
        return sum(w.parameter_bytes for w in self.operators if w.target == "tpu" and not w.on_chip)


def together(infos: Sequence[ExecutableInfo]) -> ExecutableInfo:
    """The description of parts that run one behind the other; that of a single one is its own."""
    first = infos[0]
    return replace(
        first,
        min_runtime_version=max(info.min_runtime_version for info in infos),
        instruction_bytes=sum(info.instruction_bytes for info in infos),
        operators=tuple(work for info in infos for work in info.operators),
    )


@dataclass(frozen=True)
class Part:
    """What the chip runs in one go: a custom operator of the file.

    ``inputs``/``outputs`` are what it takes and gives, ``model`` what it stands for, a complete
    ``.tflite``.  Where nothing is mapped the only part has no model, and takes and gives nothing:
    its ``info`` speaks of the operators on the CPU.
    """

    info: ExecutableInfo
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    model: bytes | None = None


@dataclass(frozen=True)
class Executable:
    """An executable opened from a file: its parts, and the models it is made of.

    ``inputs``/``outputs`` are those of the whole file, in model order.  There is at least one part;
    parts are in the order in which they run.  ``models`` are run one behind the other: those of the
    parts, and between them, in front and behind what stays on the CPU, where there is something;
    all are complete ``.tflite`` files.  Tensors between them are matched by name.
    """

    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parts: tuple[Part, ...]
    models: tuple[bytes, ...]

    @property
    def info(self) -> ExecutableInfo:
        """The description of all parts together."""
        return together([part.info for part in self.parts])
