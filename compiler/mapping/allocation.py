"""Which layers' parameters stay on the chip, which are streamed at every inference.

The Edge TPU has about 8 MiB for parameters, some of it set aside for the executable.  Whole layers
are cached or streamed, fixed at compile time (Coral's compiler page, "Parameter data caching").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.chip import PARAMETER_MEMORY_BYTES
from devices.executable import OperatorWork

_RESERVE_PER_OPERATOR_BYTES = 16 * 1024
_RESERVE_LIMIT_BYTES = 1024 * 1024
_INSTRUCTION_BASE_BYTES = 9_500
_INSTRUCTIONS_PER_OPERATOR_BYTES = 1_500
_INSTRUCTIONS_PER_ACTIVATION_BYTE = 2.2e-3


@dataclass(frozen=True)
class Layer:
    """The parameters of one operator, as stored on the chip."""

    size_bytes: int
    is_depthwise: bool = False


def reserved_bytes(mapped_operators: int) -> int:
    """Parameter memory set aside for the executable of a segment.

    16 KiB per mapped operator, at most 1 MiB.  A rule of thumb over the compiler logs in
    ``onchip_capacity.csv``, in which the memory left for parameters is 8.0 MiB for tiny models,
    7.1 for MobileNet v1 (31 operators), 6.9 for MobileNet v2 (66), 7.0 to 7.5 for large
    detectors.  It is off by 0.2 MiB in the median of the logs whose operator count is known; at
    worst it promises 2.0 MiB too much (75 convolutions 7x7 on 128x128x32).  No rule in operators,
    activation or instruction bytes did clearly better.
    """
    return min(_RESERVE_LIMIT_BYTES, mapped_operators * _RESERVE_PER_OPERATOR_BYTES)


def available_bytes(mapped_operators: int) -> int:
    """Parameter memory left for the parameters of a segment that has the chip to itself."""
    return PARAMETER_MEMORY_BYTES - reserved_bytes(mapped_operators)


def instruction_bytes(mapped: Sequence[OperatorWork]) -> int:
    """Estimated size of the instruction stream, which is sent anew with every inference.

    9,500 bytes, 1,500 per mapped operator, and 2.2 per 1,000 bytes of activations that operators
    read and make: a chip that works tile by tile is told of every tile.  The rule with the least
    median error over the packages at hand, 22 %, where operators alone (6,000 and 3,000 each) gave
    41 % (the comparison beside Google's packages, section 4).  ``python -m compiler.accuracy``
    prints what it is on packages of yours.  Nothing is sent when nothing is mapped.
    """
    if not mapped:
        return 0
    moved_bytes = sum(work.input_bytes + work.output_bytes for work in mapped)
    tiles = round(_INSTRUCTIONS_PER_ACTIVATION_BYTE * moved_bytes)
    return _INSTRUCTION_BASE_BYTES + len(mapped) * _INSTRUCTIONS_PER_OPERATOR_BYTES + tiles


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
