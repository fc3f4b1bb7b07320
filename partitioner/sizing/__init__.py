"""How many TPUs are worth it: the best cut for each number of segments, and what to recommend."""

from __future__ import annotations

from partitioner.sizing.advice import Recommendation, Target, recommend
from partitioner.sizing.how_many import Sweep
from partitioner.sizing.plans import Plan, describe, shorthand
from partitioner.sizing.sweep import NOT_LOOKED_AT, sweep, tabulate

__all__ = [
    "NOT_LOOKED_AT",
    "Plan",
    "Recommendation",
    "Sweep",
    "Target",
    "describe",
    "recommend",
    "shorthand",
    "sweep",
    "tabulate",
]
