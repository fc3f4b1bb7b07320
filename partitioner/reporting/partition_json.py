"""A partition and all that led to it as JSON: ``partition.json``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from compiler.drawing import json_text
from partitioner.certificate import digest_of
from partitioner.reporting.report import Report
from partitioner.reporting.sweep_report import sweep_content

FORMAT_VERSION = 2
"""Of ``partition.json``; grows when a field changes its meaning."""


def as_json(report: Report) -> str:
    """Everything, reproducibly: the same run gives the same bytes."""
    partition, claims, evidence = report.partition, asdict(report.claims), report.evidence
    content = {
        "format_version": FORMAT_VERSION,
        **report.circumstances,
        "strategy": evidence["strategy"],
        "outcome": evidence["outcome"],
        "why": report.why,
        **claims,
        "segments": [
            {
                "first": profile.segment.first,
                "end": profile.segment.end,
                **segment,
                **_measured(report, index),
                "file": file,
                "file_sha256": digest,
            }
            for index, (profile, segment, (file, digest)) in enumerate(
                zip(partition.segments, evidence["segments"], report.files.items(), strict=True)
            )
        ],
        "trial_run": evidence["trial_run"],
        "compilations": partition.compilations,
        "measurements": partition.measurements,
        "compiler_runs": partition.compiler_runs,
        "confidence": None if report.confidence is None else asdict(report.confidence),
        "certificate": evidence["certificate"],
        "outputs_identical": report.verification,
        "how_many": (
            None if report.sweep is None else sweep_content(report.sweep, report.recommendation)
        ),
        "rounds": evidence["rounds"],
    }
    # As it will be read: JSON knows no tuples.
    content["sha256"] = digest_of(json.loads(json.dumps(content)))
    return json_text(content)


def _measured(report: Report, index: int) -> dict[str, Any]:
    """What is known of a segment beyond its latency."""
    content: dict[str, Any] = {}
    if report.placement:
        content.update(report.placement[index])
    if report.measurements:
        measured = report.measurements[index]
        content["runs"] = len(measured.estimate.samples)
        content["parameter_load_ns"] = measured.load_ns
        content["timing"] = asdict(measured.timing)
    return content
