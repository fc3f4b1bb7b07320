"""The two ends of a pipeline in the user's program: where items enter and where results leave.

Whoever pushes or pops only puts into and takes from queues here; one thread does the rest.
"""

from __future__ import annotations

from pipeline.host.calls import Claim, claiming, wait_for_calls
from pipeline.host.lanes import Lane, Waiting
from pipeline.host.pump import Pump
from pipeline.host.pushed import TURNED_OFF, Pushed
from pipeline.host.result import OnError, Result
from pipeline.host.sink import Sink
from pipeline.host.snapshots import snapshot
from pipeline.host.source import Source
from pipeline.host.timing import Timekeeper
from pipeline.host.wake_pipe import WakePipe

__all__ = [
    "TURNED_OFF",
    "Claim",
    "Lane",
    "OnError",
    "Pump",
    "Pushed",
    "Result",
    "Sink",
    "Source",
    "Timekeeper",
    "Waiting",
    "WakePipe",
    "claiming",
    "snapshot",
    "wait_for_calls",
]
