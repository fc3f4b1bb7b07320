"""What a user is told: tables, JSON, a page with charts and the graph, progress while waiting.

A new report is a module here that takes the plain data of ``report`` or ``sweep_report``.
"""

from __future__ import annotations

from partitioner.reporting.circumstances import numbers_in_file
from partitioner.reporting.html_report import partition_page
from partitioner.reporting.html_sweep import sweep_page
from partitioner.reporting.partition_json import FORMAT_VERSION, as_json
from partitioner.reporting.partition_table import as_table
from partitioner.reporting.progress import Progress, counted, milliseconds
from partitioner.reporting.report import Report
from partitioner.reporting.sweep_report import SweepReport, sweep_json, sweep_text
from partitioner.reporting.why import why

__all__ = [
    "FORMAT_VERSION",
    "Progress",
    "Report",
    "SweepReport",
    "as_json",
    "as_table",
    "counted",
    "milliseconds",
    "numbers_in_file",
    "partition_page",
    "sweep_json",
    "sweep_page",
    "sweep_text",
    "why",
]
