"""When every item starts, finishes and leaves every stage: a pipeline's time, without processes.

The same times that the running pipeline carries in the headers of its slots, as one pure function
for sweeps over millions of items; the two agree to the nanosecond.
"""

from __future__ import annotations

from pipeline.timeline.recurrence import Recurrence
from pipeline.timeline.simulation import (
    SteadyState,
    Timeline,
    chain,
    simulate,
    steady_state,
)
from pipeline.timeline.stepwise import Stepwise, simulate_ageing

__all__ = [
    "Recurrence",
    "SteadyState",
    "Stepwise",
    "Timeline",
    "chain",
    "simulate",
    "simulate_ageing",
    "steady_state",
]
