"""How many TPUs are worth it: the best cut for each number of segments, and what to recommend."""

from __future__ import annotations

from partitioner.sizing.advice import Recommendation, Target, recommend
from partitioner.sizing.figures import in_ms, per_second
from partitioner.sizing.findings import Findings
from partitioner.sizing.how_many import (
    NOT_LOOKED_AT,
    NOT_REACHED,
    STOPPED_BEFORE,
    LeftOut,
    Sweep,
    SweepRow,
)
from partitioner.sizing.plans import ALIKE, PipelineCost, Plan, describe, kinds_in_words, shorthand
from partitioner.sizing.sweep import kept_to, sweep, tabulate

__all__ = [
    "ALIKE",
    "NOT_LOOKED_AT",
    "NOT_REACHED",
    "STOPPED_BEFORE",
    "Findings",
    "LeftOut",
    "PipelineCost",
    "Plan",
    "Recommendation",
    "Sweep",
    "SweepRow",
    "Target",
    "describe",
    "in_ms",
    "kept_to",
    "kinds_in_words",
    "per_second",
    "recommend",
    "shorthand",
    "sweep",
    "tabulate",
]
