"""What runs on the chip and what that takes: the operator table, mapping, work and memory.

A limit of an operator goes into ``support``; what follows from it for a segment, how much work an
operator is, and which parameters stay on the chip, are one module each.
"""

from __future__ import annotations

from compiler.mapping.allocation import (
    Layer,
    allocate,
    available_bytes,
    instruction_bytes,
    reserved_bytes,
)
from compiler.mapping.mapped import SegmentMapping, map_segment
from compiler.mapping.support import Status, status_of
from compiler.mapping.work import operator_work

__all__ = [
    "Layer",
    "SegmentMapping",
    "Status",
    "allocate",
    "available_bytes",
    "instruction_bytes",
    "map_segment",
    "operator_work",
    "reserved_bytes",
    "status_of",
]
