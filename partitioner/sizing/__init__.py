"""How many TPUs are worth it: the best cut for each number of segments, and what to recommend."""

from __future__ import annotations

from partitioner.sizing.advice import Recommendation, Target, recommend
from partitioner.sizing.how_many import Sweep
from partitioner.sizing.plans import ALIKE, PipelineCost, Plan, describe, kinds_in_words, shorthand
from partitioner.sizing.sweep import NOT_LOOKED_AT, Usage, sweep, tabulate

__all__ = [
    "ALIKE",
    "NOT_LOOKED_AT",
    "PipelineCost",
    "Plan",
    "Recommendation",
    "Sweep",
    "Target",
    "Usage",
    "describe",
    "kinds_in_words",
    "recommend",
    "shorthand",
    "sweep",
    "tabulate",
]
