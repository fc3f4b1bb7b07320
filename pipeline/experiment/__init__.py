"""Running throughput experiments: every point measured, kept at once, and reported."""

from __future__ import annotations

from pipeline.experiment.comparison import Comparison, Difference, compare
from pipeline.experiment.cuts import Cut, CutQuestion, SegmentedModel, Segmenter, runs_of
from pipeline.experiment.flat import format_csv, parquet_of
from pipeline.experiment.history import Course
from pipeline.experiment.journal import CONFIG, Journal, check_new, read_points, read_run
from pipeline.experiment.metrics import Drawn, StageResult
from pipeline.experiment.point_trace import trace_name, trace_of
from pipeline.experiment.progress import Progress
from pipeline.experiment.report import (
    format_report,
    label_of,
    likely_of,
    report_as_dict,
)
from pipeline.experiment.result import RunResult, with_speed_ups
from pipeline.experiment.run import check_models, results_of, run_experiment

__all__ = [
    "CONFIG",
    "Comparison",
    "Course",
    "Cut",
    "CutQuestion",
    "Difference",
    "Drawn",
    "Journal",
    "Progress",
    "RunResult",
    "SegmentedModel",
    "Segmenter",
    "StageResult",
    "check_models",
    "check_new",
    "compare",
    "format_csv",
    "format_report",
    "label_of",
    "likely_of",
    "parquet_of",
    "read_points",
    "read_run",
    "report_as_dict",
    "results_of",
    "run_experiment",
    "runs_of",
    "trace_name",
    "trace_of",
    "with_speed_ups",
]
