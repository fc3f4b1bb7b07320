"""Which layers' parameters stay on the chip, which are streamed at every inference.

The Edge TPU has about 8 MiB for parameters, some of it set aside for the executable.  Whole layers
are cached or streamed, fixed at compile time (Coral's compiler page, "Parameter data caching").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.chip import PARAMETER_MEMORY_BYTES
from devices.executable import OperatorWork

_SMALL_OPERATORS = 16
_SMALL_RESERVE_BYTES = 272_630  # 0.26 MiB
_RESERVE_BYTES = 996_148  # 0.95 MiB
_INSTRUCTION_BASE_BYTES = 9_500
_INSTRUCTIONS_PER_OPERATOR_BYTES = 1_500
_INSTRUCTIONS_PER_ACTIVATION_BYTE = 0.0022


@dataclass(frozen=True)
class Layer:
    """The parameters of one operator, as stored on the chip."""

    size_bytes: int
    is_depthwise: bool = False


def reserved_bytes(mapped_operators: int) -> int:
    """Parameter memory set aside for the executable of a segment.

    0.26 MiB up to 16 mapped operators, 0.95 MiB above.  Between 0.25 and 0.27 MiB the first number
    tells which of 132 published chains of five layers fit the chip; over 26 published compiler logs
    both are off by 0.2 MiB in the median.  Four logs are off by 2 to 6 MiB: 75 convolutions 7x7 on
    128x128x32, one depthwise convolution on 1920x1058x3, and two networks whose shapes are not
    published.  Something besides the number of operators is reserved for; neither activations nor
    kernels nor instructions tell it, for networks with larger ones of each have more memory left.
    """
    if not mapped_operators:
        return 0
    return _SMALL_RESERVE_BYTES if mapped_operators <= _SMALL_OPERATORS else _RESERVE_BYTES


def available_bytes(mapped_operators: int) -> int:
    """Parameter memory left for the parameters of a segment that has the chip to itself."""
    return PARAMETER_MEMORY_BYTES - reserved_bytes(mapped_operators)


def instruction_bytes(mapped: Sequence[OperatorWork]) -> int:
    """Estimated size of the instruction stream, which is sent anew with every inference.

    9,500 bytes, 1,500 for each mapped operator and 2.2 for each 1,000 bytes of activations that
    they read and write: least relative errors over Google's packages of known operators, 22 % in
    the median.  Newer compilers write more for small networks: MobileNet v1 0.25 takes 46 or 170 KB
    depending on the compiler's age.  Nothing is sent when nothing is mapped.
    """
    if not mapped:
        return 0
    moved = sum(work.input_bytes + work.output_bytes for work in mapped)
    return (
        _INSTRUCTION_BASE_BYTES
        + len(mapped) * _INSTRUCTIONS_PER_OPERATOR_BYTES
        + round(moved * _INSTRUCTIONS_PER_ACTIVATION_BYTE)
    )


def allocate(layers: Sequence[Layer], available_bytes: int) -> tuple[bool, ...]:
    """For each layer: is it cached on the chip?

    Depthwise layers first, then by size, largest first, equal ones in execution order; a layer
    that does not fit is skipped and smaller ones may still fit.  The rule reproduces 191 of 193
    layers in six real packages that spill (``spill_oracle.csv``); the two misses are one pair of
    equal layers, and taking the later of equal ones would miss another pair instead.  Layers
    without parameters count as cached.
    """
    order = sorted(
        range(len(layers)),
        key=lambda i: (not layers[i].is_depthwise, -layers[i].size_bytes, i),
    )
    on_chip = [True] * len(layers)
    left = available_bytes
    for i in order:
        if layers[i].size_bytes <= max(left, 0):
            left -= layers[i].size_bytes
        else:
            on_chip[i] = layers[i].size_bytes == 0
    return tuple(on_chip)
