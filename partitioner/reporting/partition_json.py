"""A partition and all that led to it as JSON: ``partition.json``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from compiler.drawing import json_text
from devices.simulated import model_error
from partitioner.certificate import certificate_of
from partitioner.problem import pairs_of
from partitioner.reporting.report import Report
from partitioner.reporting.sweep_report import sweep_content
from partitioner.reporting.why import why

FORMAT_VERSION = 1
"""Of ``partition.json``; grows when a field changes its meaning."""


def as_json(report: Report) -> str:
    """Everything, reproducibly: the same run gives the same bytes."""
    partition = report.partition
    content = {
        "format_version": FORMAT_VERSION,
        "model": report.model,
        "model_sha256": report.model_sha256,
        "num_operators": report.num_operators,
        "num_segments": len(partition.segments),
        "compiler": report.compiler,
        "devices": [dict(device) for device in report.devices],
        "options": dict(report.options),
        "strategy": partition.strategy,
        "outcome": partition.outcome,
        "why": why(report),
        "order": partition.order,
        "execution_order": (
            None if partition.execution_order is None else list(partition.execution_order)
        ),
        "cuts": list(partition.cuts),
        "segments": [
            {
                "first": profile.segment.first,
                "end": profile.segment.end,
                "operators_in_file": [list(pair) for pair in pairs_of(profile.segment.runs)],
                "latency_ns": profile.latency_ns,
                **asdict(profile.facts),
                **_measured(report, index),
                "file": file,
            }
            for index, (profile, file) in enumerate(
                zip(partition.segments, report.files, strict=True)
            )
        ],
        "bottleneck_ns": partition.bottleneck_ns,
        "gap_ns": partition.gap_ns,
        "lower_bound_ns": partition.lower_bound_ns,
        "optimality_gap": partition.optimality_gap,
        "bytes_across_cuts": partition.bytes_across_cuts,
        "on_chip_bytes": partition.on_chip_bytes,
        "off_chip_bytes": partition.off_chip_bytes,
        "whole_model_ns": report.whole_model_ns,
        "throughput_per_second": report.throughput,
        "trial_run": None if report.trial is None else asdict(report.trial),
        "speed_up": report.speed_up,
        "compilations": partition.compilations,
        "measurements": partition.measurements,
        "compiler_runs": partition.compiler_runs,
        "guard": asdict(partition.guard),
        "confidence": None if report.confidence is None else asdict(report.confidence),
        "lost_devices": dict(report.lost_devices),
        "warnings": list(report.warnings),
        "certificate": certificate_of(partition).as_mapping(),
        "outputs_identical": report.verification,
        "model_error": model_error(report.devices, report.throughput),
        "how_many": (
            None if report.sweep is None else sweep_content(report.sweep, report.recommendation)
        ),
        "rounds": [asdict(entry) for entry in partition.rounds],
    }
    return json_text(content)


def _measured(report: Report, index: int) -> dict[str, Any]:
    """What is known of a segment beyond its latency."""
    content: dict[str, Any] = {}
    if report.placement:
        content.update(report.placement[index])
    if report.measurements:
        measured = report.measurements[index]
        content["interval_ns"] = [measured.estimate.low_ns, measured.estimate.high_ns]
        content["runs"] = len(measured.estimate.samples)
        content["parameter_load_ns"] = measured.load_ns
        content["timing"] = asdict(measured.timing)
    return content
