"""What runs on the chip and what that takes: the operator table, mapping, work and memory.

The operators the chip has are in ``table``, their limits in ``limits``; what follows from them for
a segment, how much work an operator is, and which parameters stay on the chip, are one module each.
"""

from __future__ import annotations

from compiler.mapping.allocation import (
    Layer,
    allocate,
    available_bytes,
    instruction_bytes,
    reserved_bytes,
)
from compiler.mapping.limits import Source
from compiler.mapping.mapped import SegmentMapping, map_segment
from compiler.mapping.support import judge, largest_activation, operator_name
from compiler.mapping.table import LARGEST_ACTIVATION_BYTES, SUPPORTED
from compiler.mapping.verdict import Status, Verdict
from compiler.mapping.work import operator_work

__all__ = [
    "LARGEST_ACTIVATION_BYTES",
    "SUPPORTED",
    "Layer",
    "SegmentMapping",
    "Source",
    "Status",
    "Verdict",
    "allocate",
    "available_bytes",
    "instruction_bytes",
    "judge",
    "largest_activation",
    "map_segment",
    "operator_name",
    "operator_work",
    "reserved_bytes",
]
