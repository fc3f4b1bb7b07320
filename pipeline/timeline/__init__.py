"""When every item starts, finishes and leaves every stage: a pipeline's time, without processes.

The same times that the running pipeline carries in the headers of its slots, as one pure function
for sweeps over millions of items; the two agree to the nanosecond.
"""

from __future__ import annotations

from pipeline.timeline.keeper import SharedTime, TimeKeeper, shared_time_of
from pipeline.timeline.recurrence import Recurrence
from pipeline.timeline.shared import (
    ItemTimes,
    Shared,
    SharedRecurrence,
    simulate_shared,
    timeline_of,
)
from pipeline.timeline.simulation import SteadyState, Timeline, chain, simulate, steady_state
from pipeline.timeline.stepwise import Stepwise, simulate_ageing

__all__ = [
    "ItemTimes",
    "Recurrence",
    "Shared",
    "SharedRecurrence",
    "SharedTime",
    "SteadyState",
    "Stepwise",
    "TimeKeeper",
    "Timeline",
    "chain",
    "shared_time_of",
    "simulate",
    "simulate_ageing",
    "simulate_shared",
    "steady_state",
    "timeline_of",
]
