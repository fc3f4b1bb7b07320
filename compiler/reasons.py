"""Why operators were left to the CPU, as text and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the version is told without importing what compiles
    from compiler.executables import CompileReport, OperatorReport

HALF = 0.5
"""With less of the work mapped than this, the summary says so."""


def reasons(report: CompileReport) -> str:
    """A paragraph on every operator left to the CPU; empty if there is none.

    Neighbours that only wait for the same operator share a line.
    """
    left = [one for one in report.details if not one.verdict.is_mapped]
    lines: list[str] = []
    for (behind, reason), group in groupby(left, key=_alike):
        together = list(group)
        first = together[0]
        if behind is not None and len(together) > 1:
            kinds = ", ".join(dict.fromkeys(one.kind for one in together))
            span = _span([one.index for one in together])
            lines.append(f"CPU: {len(together)} operations {span}: {reason} ({kinds})")
            continue
        for one in together:
            lines.append(f"CPU: {one.kind} #{one.index} {one.name!r}: {reason}")
        if first.verdict.hint:
            lines.append(f"     hint: {first.verdict.hint}")
    for one in report.details:
        if one.verdict.assumed:
            lines.append(f"Warning: {one.kind} #{one.index} {one.name!r}: {one.verdict.assumed}")
    return "\n".join(lines)


def _alike(one: OperatorReport) -> tuple[int | None, str]:
    return one.verdict.behind, one.verdict.reason


def subgraphs(report: CompileReport) -> str:
    """What each Edge TPU subgraph of an executable holds, if there are several; else empty."""
    if len(report.subgraphs) < 2:
        return ""
    kinds = {one.index: one.kind for one in report.details}
    lines = [f"Number of Edge TPU subgraphs: {len(report.subgraphs)}"]
    for number, one in enumerate(report.subgraphs, 1):
        count = f"{len(one.operators)} operation{'s' if len(one.operators) > 1 else ''}"
        behind = "" if one.behind is None else f", behind {kinds[one.behind]} #{one.behind}"
        lines.append(f"Edge TPU subgraph {number}: {count} {_span(sorted(one.operators))}{behind}")
    return "\n".join(lines)


def folded(report: CompileReport) -> str:
    """Which operators are in no executable, for their results are constants; empty if none is."""
    if not report.folded:
        return ""
    count, them = len(report.folded), _span([one.index for one in report.folded])
    kinds = ", ".join(dict.fromkeys(one.kind for one in report.folded))
    return (
        f"Computed by the compiler: {count} operation{'s' if count > 1 else ''} {them} ({kinds}), "
        "for the sizes in the file"
    )


def _span(indices: Sequence[int]) -> str:
    if len(indices) == 1:
        return f"#{indices[0]}"
    if indices == list(range(indices[0], indices[-1] + 1)):
        return f"#{indices[0]} to #{indices[-1]}"
    return ", ".join(f"#{index}" for index in indices)


def share_line(report: CompileReport) -> str:
    """A sentence when little or nothing is mapped; else empty."""
    if not report.mapped_operators:
        first = report.details[0] if report.details else None
        why = f", the first for {first.verdict.reason}" if first and first.verdict.reason else ""
        return (
            f"Nothing runs on the Edge TPU: all {len(report.details)} operations stay on the "
            f"CPU{why}."
        )
    if report.mapped_share < HALF:
        return (
            f"Only {report.mapped_share:.1%} of the model's work runs on the Edge TPU; the "
            "operation log says what keeps the rest on the CPU."
        )
    return ""


def as_data(report: CompileReport) -> dict[str, Any]:
    """Everything the report holds, for ``--json``."""
    return {
        "input_bytes": report.input_bytes,
        "output_bytes": report.output_bytes,
        "used_on_chip_bytes": report.used_on_chip_bytes,
        "remaining_on_chip_bytes": report.remaining_on_chip_bytes,
        "off_chip_bytes": report.off_chip_bytes,
        "mapped_operators": report.mapped_operators,
        "cpu_operators": report.cpu_operators,
        "mapped_share_of_work": round(report.mapped_share, 6),
        "edge_tpu_subgraphs": len(report.subgraphs),
        "subgraphs": [
            {"operators": list(one.operators), "behind": one.behind} for one in report.subgraphs
        ],
        "operators": [
            {
                "index": one.index,
                "kind": one.kind,
                "name": one.name,
                "macs": one.macs,
                "runs_on": "tpu" if one.verdict.is_mapped else "cpu",
                "status": one.verdict.status.value,
                "reason": one.verdict.reason,
                "hint": one.verdict.hint,
                "behind": one.verdict.behind,
                "assumed": one.verdict.assumed,
            }
            for one in report.details
        ],
        "computed_by_the_compiler": [
            {"index": one.index, "kind": one.kind, "name": one.name} for one in report.folded
        ],
    }
