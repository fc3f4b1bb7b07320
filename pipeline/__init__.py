"""Runs the segments of a model as a pipeline, one stage per device.

``PipelinedModelRunner(executables)`` does it; ``plan_routes`` and ``simulate`` are the pure
planning and timing behind it.
"""

from __future__ import annotations

from pipeline.channels import ChannelSpec
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
from pipeline.host import OnError, Result
from pipeline.observing import (
    LogFormatter,
    PipelineStatistics,
    ProcessUse,
    StageCounters,
    StageStatistics,
    TraceClock,
    configure_logging,
)
from pipeline.runner import PipelinedModelRunner
from pipeline.stages import RoutePlan, StageTensors, plan_routes
from pipeline.timeline import SteadyState, Timeline, chain, simulate, steady_state

__all__ = [
    "ChannelClosed",
    "ChannelError",
    "ChannelSpec",
    "EndOfChannel",
    "InferenceError",
    "LogFormatter",
    "OnError",
    "PeerDied",
    "PipelineBroken",
    "PipelineClosed",
    "PipelineStatistics",
    "PipelinedModelRunner",
    "ProcessUse",
    "Result",
    "RoutePlan",
    "StageCounters",
    "StageStatistics",
    "StageTensors",
    "SteadyState",
    "Timeline",
    "TraceClock",
    "WrongAnswer",
    "chain",
    "configure_logging",
    "plan_routes",
    "simulate",
    "steady_state",
]
