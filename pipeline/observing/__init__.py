"""What can be seen of a running pipeline: counters, traces, the use of the machine, log lines.

Stages write here and the host reads; nothing in a pipeline depends on being watched.
"""

from __future__ import annotations

from pipeline.observing.logs import LogFormatter, configure_logging, remove_logging
from pipeline.observing.statistics import (
    PipelineStatistics,
    StageCounters,
    StageStatistics,
    StatisticsPage,
)
from pipeline.observing.trace import TracedPage, create_page, open_page, trace_size
from pipeline.observing.trace_events import StageTrace, TraceClock, save, trace_events
from pipeline.observing.usage import ProcessUse, process_use

__all__ = [
    "LogFormatter",
    "PipelineStatistics",
    "ProcessUse",
    "StageCounters",
    "StageStatistics",
    "StageTrace",
    "StatisticsPage",
    "TraceClock",
    "TracedPage",
    "configure_logging",
    "create_page",
    "open_page",
    "process_use",
    "remove_logging",
    "save",
    "trace_events",
    "trace_size",
]
