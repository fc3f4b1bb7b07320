"""Running throughput experiments: every point measured, kept at once, and reported."""

from __future__ import annotations

from pipeline.experiment.cuts import Cut, CutQuestion, SegmentedModel, Segmenter, runs_of
from pipeline.experiment.history import Course
from pipeline.experiment.journal import CONFIG, Journal, check_new, read_run
from pipeline.experiment.metrics import Drawn, StageResult
from pipeline.experiment.progress import Progress
from pipeline.experiment.report import (
    format_csv,
    format_report,
    label_of,
    likely_of,
    report_as_dict,
)
from pipeline.experiment.result import RunResult, with_speed_ups
from pipeline.experiment.run import check_models, results_of, run_experiment

__all__ = [
    "CONFIG",
    "Course",
    "Cut",
    "CutQuestion",
    "Drawn",
    "Journal",
    "Progress",
    "RunResult",
    "SegmentedModel",
    "Segmenter",
    "StageResult",
    "check_models",
    "check_new",
    "format_csv",
    "format_report",
    "label_of",
    "likely_of",
    "read_run",
    "report_as_dict",
    "results_of",
    "run_experiment",
    "runs_of",
    "with_speed_ups",
]
