"""A partition and all that led to it as JSON: ``partition.json``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from compiler.drawing import json_text
from partitioner.certificate import digest_of
from partitioner.reporting.report import Report
from partitioner.reporting.sweep_report import sweep_content

FORMAT_VERSION = 3
"""Of ``partition.json``; grows when a claim is added or taken away, follows by other rules, or a
field changes its meaning.  A file is checked by the rules of its own version alone.  Since 3 there
is ``lower_bound_all_orders_ns``."""


def as_json(report: Report) -> str:
    """Everything, reproducibly: the same run gives the same bytes."""
    partition, claims, evidence = report.partition, asdict(report.claims), report.evidence
    edges = (0, *claims["cuts"], claims["num_operators"])
    content = {
        "format_version": FORMAT_VERSION,
        **report.circumstances,
        "strategy": evidence["strategy"],
        "outcome": evidence["outcome"],
        "why": report.why,
        **claims,
        "segments": [
            {
                "first": first,
                "end": end,
                **segment,
                **_measured(report, index),
                "file": file,
                "file_sha256": digest,
            }
            for index, (first, end, segment, (file, digest)) in enumerate(
                zip(edges, edges[1:], evidence["segments"], report.files.items(), strict=False)
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
