from .channels import ChannelSpec
from .errors import (
    ChannelClosed,
    ChannelError,
    EndOfChannel,
    InferenceError,
    PeerDied,
    PipelineBroken,
    PipelineClosed,
    WrongAnswer,
)
from .host import OnError, Result
from .observing import (
    LogFormatter,
    PipelineStatistics,
    ProcessUse,
    StageCounters,
    StageStatistics,
    TraceClock,
    configure_logging,
)
from .runner import PipelinedModelRunner
from .stages import Demand, RoutePlan, StageTensors, plan_routes
from .timeline import (
    SharedTime,
    SteadyState,
    Timeline,
    chain,
    simulate,
    simulate_ageing,
    simulate_shared,
    steady_state,
)

__all__ = [
    "ChannelClosed",
    "ChannelError",
    "ChannelSpec",
    "Demand",
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
    "SharedTime",
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
    "simulate_ageing",
    "simulate_shared",
    "steady_state",
]
