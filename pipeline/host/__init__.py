"""The two ends of a pipeline in the user's program: where items enter and where results leave.

Whoever pushes or pops works here, helped by the one thread that moves items while nobody does.
"""

from __future__ import annotations

from pipeline.host.pump import Pump
from pipeline.host.result import OnError, Result
from pipeline.host.sink import Sink
from pipeline.host.source import TURNED_OFF, Source
from pipeline.host.wake_pipe import WakePipe

__all__ = [
    "TURNED_OFF",
    "OnError",
    "Pump",
    "Result",
    "Sink",
    "Source",
    "WakePipe",
]
