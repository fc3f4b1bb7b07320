"""Runs the segments of a model as a pipeline, one stage per device.

``PipelinedModelRunner(executables)`` does it; ``plan_routes`` and ``simulate`` are the pure
planning and timing behind it.
"""

from __future__ import annotations

from pipeline.channel import ChannelSpec
from pipeline.errors import (
    ChannelClosed,
    ChannelError,
    EndOfChannel,
    InferenceError,
    PeerDied,
    PipelineBroken,
    PipelineClosed,
    WrongAnswer,
)
from pipeline.routes import RoutePlan, StageTensors, plan_routes
from pipeline.runner import PipelinedModelRunner
from pipeline.sink import OnError, Result
from pipeline.statistics import PipelineStatistics, StageCounters, StageStatistics
from pipeline.timeline import SteadyState, Timeline, chain, simulate, steady_state

__all__ = [
    "ChannelClosed",
    "ChannelError",
    "ChannelSpec",
    "EndOfChannel",
    "InferenceError",
    "OnError",
    "PeerDied",
    "PipelineBroken",
    "PipelineClosed",
    "PipelineStatistics",
    "PipelinedModelRunner",
    "Result",
    "RoutePlan",
    "StageCounters",
    "StageStatistics",
    "StageTensors",
    "SteadyState",
    "Timeline",
    "WrongAnswer",
    "chain",
    "plan_routes",
    "simulate",
    "steady_state",
]
