"""Experiments as a YAML file describes them: one typed description, checked to the last point.

Knows nothing of how they are run.
"""

from __future__ import annotations

from pipeline.describing.arrivals import Offsets
from pipeline.describing.description import UNPACED, Closed, Experiment, PartitionMethod
from pipeline.describing.goals import Goal, goal_of
from pipeline.describing.mistakes import config_sentence
from pipeline.describing.placed import Placed, read_placed
from pipeline.describing.plan import format_plan
from pipeline.describing.point import Point
from pipeline.describing.schema import json_schema, reference, schema_text
from pipeline.describing.shelf import found, listing, shelved
from pipeline.describing.spec import ExperimentSpec, Mistakes, read_experiment

__all__ = [
    "UNPACED",
    "Closed",
    "Experiment",
    "ExperimentSpec",
    "Goal",
    "Mistakes",
    "Offsets",
    "PartitionMethod",
    "Placed",
    "Point",
    "config_sentence",
    "format_plan",
    "found",
    "goal_of",
    "json_schema",
    "listing",
    "read_experiment",
    "read_placed",
    "reference",
    "schema_text",
    "shelved",
]
