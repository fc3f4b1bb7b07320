"""What the compiler makes and a device loads: the description of an executable.

The file is a ``.tflite`` in which one custom operator, ``edgetpu-custom-op``, stands for the
mapped operators and the operators that stay on the CPU follow it.  This module holds the plain
data; the file is written in :mod:`devices.executable.sealing` and read in
:mod:`devices.executable.file`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devices.device import TensorSpec

CUSTOM_OPERATOR = "edgetpu-custom-op"
"""Custom code of the operator that stands for the mapped part, as in Google's files."""

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
    """Everything an executable says about itself.

    ``caching_token`` is the 64-bit number by which the runtime tells whose parameters the chip
    holds (0: caches nothing).  ``on_chip_offset_bytes`` is where its cached parameters start in
    the chip's parameter memory; co-compiled models follow one another, all others start at 0.
    ``instruction_bytes`` is the instruction stream, sent anew with every inference.
    ``operators`` lists mapped operators first, then the CPU tail, each in execution order.
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


@dataclass(frozen=True)
class Executable:
    """An executable opened from a file: its description and the models it is made of.

    ``inputs``/``outputs`` are those of the whole file, in model order.  ``mapped_model`` is the
    part that runs on the chip (``None`` if nothing mapped), ``head_model`` and ``tail_model`` the
    operators in front of and behind it (``None`` if there are none); all are complete ``.tflite``
    files as bytes.  Tensors between them are matched by name.
    """

    path: Path
    info: ExecutableInfo
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    mapped_inputs: tuple[TensorSpec, ...]
    mapped_outputs: tuple[TensorSpec, ...]
    mapped_model: bytes | None
    tail_model: bytes | None
    head_model: bytes | None = None
