"""One stage: which tensors travel to it, its ends, its loop next to a chip, and its succession.

Runs in the device's process, except for the planning of routes and for what the memory of a dead
stage implies, which the host works out.
"""

from __future__ import annotations

from pipeline.stages.demands import Demand, DemandConfig, DemandRing, Phase, phases_of, ring_slots
from pipeline.stages.program import ProgramConfig, Repeat, stage_main
from pipeline.stages.recovery import Losses, item_lost, runnable
from pipeline.stages.routes import SOURCE, RoutePlan, StageTensors, plan_routes
from pipeline.stages.stage import StageConfig
from pipeline.stages.state import create_state_memory

__all__ = [
    "SOURCE",
    "Demand",
    "DemandConfig",
    "DemandRing",
    "Losses",
    "Phase",
    "ProgramConfig",
    "Repeat",
    "RoutePlan",
    "StageConfig",
    "StageTensors",
    "create_state_memory",
    "item_lost",
    "phases_of",
    "plan_routes",
    "ring_slots",
    "runnable",
    "stage_main",
]
