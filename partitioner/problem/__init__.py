"""What is asked and what is answered: places to cut at, segments between them, plain data.

No algorithm that searches and no device; everything else in this room speaks in these words.
"""

from __future__ import annotations

from partitioner.problem.arrays import Array, Index, Mask, Table
from partitioner.problem.basis import ALIKE, Basis
from partitioner.problem.bounds import RowTable
from partitioner.problem.claims import Claims
from partitioner.problem.features import Features
from partitioner.problem.ideals import Ideals
from partitioner.problem.partition import (
    MOST_NS,
    Guard,
    Limit,
    NoFeasiblePartition,
    Outcome,
    Partition,
    Round,
    SegmentFacts,
    SegmentProfile,
    assumptions_of,
    measured_in,
)
from partitioner.problem.places import Line, Places, everywhere
from partitioner.problem.problem import Problem
from partitioner.problem.ranges import (
    CORAL_ORDER,
    FILE_ORDER,
    ONLY_ORDER,
    Range,
    cuts_of,
    in_file_order,
    named,
    operators_of,
    pairs_of,
    ranges_of,
    stepped_cut_choices,
)
from partitioner.problem.segments import Segments
from partitioner.problem.unordered import UNTOLD, Unordered

__all__ = [
    "ALIKE",
    "CORAL_ORDER",
    "FILE_ORDER",
    "MOST_NS",
    "ONLY_ORDER",
    "UNTOLD",
    "Array",
    "Basis",
    "Claims",
    "Features",
    "Guard",
    "Ideals",
    "Index",
    "Limit",
    "Line",
    "Mask",
    "NoFeasiblePartition",
    "Outcome",
    "Partition",
    "Places",
    "Problem",
    "Range",
    "Round",
    "RowTable",
    "SegmentFacts",
    "SegmentProfile",
    "Segments",
    "Table",
    "Unordered",
    "assumptions_of",
    "cuts_of",
    "everywhere",
    "in_file_order",
    "measured_in",
    "named",
    "operators_of",
    "pairs_of",
    "ranges_of",
    "stepped_cut_choices",
]
