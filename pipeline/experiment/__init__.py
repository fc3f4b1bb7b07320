"""Throughput experiments described in YAML: what to run, the runs, and their report."""

from pipeline.experiment.report import ExperimentReport, RunResult, format_table, report_as_dict
from pipeline.experiment.run import SegmentedModel, Segmenter, run_experiment
from pipeline.experiment.spec import ExperimentSpec, PartitionMethod, read_experiment

__all__ = [
    "ExperimentReport",
    "ExperimentSpec",
    "PartitionMethod",
    "RunResult",
    "SegmentedModel",
    "Segmenter",
    "format_table",
    "read_experiment",
    "report_as_dict",
    "run_experiment",
]
