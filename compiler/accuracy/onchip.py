"""The parameter memory that Google's compiler left to models, beside what the rule leaves.

``onchip_logs.csv`` holds, from published compiler logs, the memory used for and remaining to
parameters where the number of mapped operators is known.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from compiler.mapping import available_bytes

_MIB = 2**20


@dataclass(frozen=True)
class Logged:
    """What one compiler log says."""

    model: str
    mapped_operators: int
    available_mib: float
    source: str

    @property
    def error_mib(self) -> float:
        """By how much the rule leaves more."""
        return available_bytes(self.mapped_operators) / _MIB - self.available_mib


def logs() -> tuple[Logged, ...]:
    """All of them, in the order of the file."""
    text = files("compiler.accuracy").joinpath("onchip_logs.csv").read_text(encoding="utf-8")
    return tuple(
        Logged(
            row["model"],
            int(row["mapped_operators"]),
            float(row["available_mib"]),
            row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )


def onchip_report() -> str:
    """Every log and the errors, as Markdown."""
    found = logs()
    lines = [
        "| model | mapped operators | log | rule | error | source |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.model} | {one.mapped_operators} | {one.available_mib:.2f} MiB "
        f"| {one.available_mib + one.error_mib:.2f} MiB | {one.error_mib:+.2f} | {one.source} |"
        for one in found
    ]
    errors = np.abs([one.error_mib for one in found])
    median, most, worst = np.percentile(errors, (50, 80, 100))
    lines += [
        "",
        f"{len(found)} logs: median error {median:.2f} MiB, four of five within {most:.2f} MiB, "
        f"worst {worst:.2f} MiB.",
    ]
    return "\n".join(lines)
