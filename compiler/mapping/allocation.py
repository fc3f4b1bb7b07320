"""Which layers' parameters stay on the chip, which are streamed at every inference.

The Edge TPU has about 8 MiB for parameters, some of it set aside for the executable.  Whole layers
are cached or streamed, fixed at compile time (Coral's compiler page, "Parameter data caching").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.chip import PARAMETER_MEMORY_BYTES

_RESERVE_PER_OPERATOR_BYTES = 16 * 1024
_RESERVE_LIMIT_BYTES = 1024 * 1024
_INSTRUCTION_BASE_BYTES = 6_000
_INSTRUCTIONS_PER_OPERATOR_BYTES = 3_000


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


def instruction_bytes(mapped_operators: int) -> int:
    """Estimated size of the instruction stream, which is sent anew with every inference.

    6,000 bytes and 3,000 per mapped operator.  Against the real packages: -11 to +0 % on the SSD
    segments of 2 to 36 operators (one -23 %), -36 and -60 % on two tiny models, +57 % on
    MobileNet v2; MobileNet v1 0.25 compiles to 46 or 170 KB depending on the compiler's age, the
    estimate being 99 KB.  Nothing is sent when nothing is mapped.
    """
    if not mapped_operators:
        return 0
    return _INSTRUCTION_BASE_BYTES + mapped_operators * _INSTRUCTIONS_PER_OPERATOR_BYTES


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
