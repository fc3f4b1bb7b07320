"""How many TPUs are worth it: the best cut for each number of segments, and what to recommend."""

from __future__ import annotations

from partitioner.sizing.how_many import Plan, Recommendation, Sweep, Target, describe, recommend
from partitioner.sizing.sweep import sweep

__all__ = [
    "Plan",
    "Recommendation",
    "Sweep",
    "Target",
    "describe",
    "recommend",
    "sweep",
]
