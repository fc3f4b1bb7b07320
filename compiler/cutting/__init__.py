"""Cutting: any set of operators of a graph becomes a valid ``.tflite`` model of its own.

Also where ``--num_segments`` and ``--cut_at`` cut.  What the chip can run and what it costs is not
known here.
"""

from __future__ import annotations

from compiler.cutting.cut import (
    Boundary,
    Crossing,
    boundary,
    boundary_of,
    check_range,
    crossing,
    cut,
    cut_operators,
    extract,
    flow,
    in_order,
)
from compiler.cutting.kept import attach, keep
from compiler.cutting.marks import Mark, parts_at
from compiler.cutting.segments import (
    CutOrder,
    first_output,
    obstacles_along,
    order_of,
    parameter_count_cuts,
    parameter_count_parts,
    segment_stem,
)

__all__ = [
    "Boundary",
    "Crossing",
    "CutOrder",
    "Mark",
    "attach",
    "boundary",
    "boundary_of",
    "check_range",
    "crossing",
    "cut",
    "cut_operators",
    "extract",
    "first_output",
    "flow",
    "in_order",
    "keep",
    "obstacles_along",
    "order_of",
    "parameter_count_cuts",
    "parameter_count_parts",
    "parts_at",
    "segment_stem",
]
