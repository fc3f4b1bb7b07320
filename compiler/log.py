"""What the compiler says: the summary on the terminal and the operation log beside each output.

The lines are those of the Edge TPU Compiler, version 16, so that scripts that read them go on
working.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import edgetpu_pipeline
from compiler.reasons import folded, reasons, share_line, subgraphs

if TYPE_CHECKING:  # the version is told without importing what compiles
    from compiler.executables import CompileReport
    from compiler.mapping import Status

COMPATIBLE_VERSION = "16.0"
"""The Edge TPU Compiler whose command line, mapping and messages are followed."""

_UNITS = ("B", "KiB", "MiB", "GiB")
_OPERATOR_WIDTH = 30
_COUNT_WIDTH = 10


@dataclass(frozen=True)
class OutputNames:
    """Names of what one executable was made from and is written to, as the log shows them."""

    input_model: str
    output_model: str
    log: str


def version_line() -> str:
    """First line of every output: the compiler followed, and this project's own version."""
    own = f"edgetpu-pipeline {edgetpu_pipeline.VERSION}"
    return f"Edge TPU Compiler version {COMPATIBLE_VERSION} ({own})"


def format_size(size_bytes: int) -> str:
    """A size as the compiler prints it: ``0.00B``, ``204.75KiB``, ``3.72MiB``."""
    value = float(size_bytes)
    for unit in _UNITS[:-1]:
        if abs(value) < 1024:
            return f"{value:.2f}{unit}"
        value /= 1024
    return f"{value:.2f}{_UNITS[-1]}"


def summary(report: CompileReport, names: OutputNames) -> str:
    """The block printed for each executable."""
    lines = [
        f"Input model: {names.input_model}",
        f"Input size: {format_size(report.input_bytes)}",
        f"Output model: {names.output_model}",
        f"Output size: {format_size(report.output_bytes)}",
        "On-chip memory used for caching model parameters: "
        + format_size(report.used_on_chip_bytes),
        "On-chip memory remaining for caching model parameters: "
        + format_size(report.remaining_on_chip_bytes),
        "Off-chip memory used for streaming uncached model parameters: "
        + format_size(report.off_chip_bytes),
        f"Number of Edge TPU subgraphs: {len(report.subgraphs)}",
        f"Total number of operations: {len(report.operators)}",
        f"Operation log: {names.log}",
    ]
    if report.cpu_operators:
        lines += [
            "",
            "Model successfully compiled but not all operations are supported by the Edge TPU. "
            "Those that are not run on the CPU, which is slower; the operation log says why each "
            "of them was not mapped.",
            f"Number of operations that will run on Edge TPU: {report.mapped_operators}",
            f"Number of operations that will run on CPU: {report.cpu_operators}",
        ]
    if line := share_line(report):
        lines += ["", line]
    return "\n".join(lines)


def operation_table(operators: Sequence[tuple[str, Status]]) -> str:
    """Operators counted by kind and status, in order of first appearance."""
    rows = [f"{'Operator':<{_OPERATOR_WIDTH}} {'Count':<{_COUNT_WIDTH}} Status", ""]
    for (kind, status), count in Counter(operators).items():
        rows.append(f"{kind:<{_OPERATOR_WIDTH}} {count:<{_COUNT_WIDTH}} {status.value}")
    return "\n".join(rows)


def operation_log(report: CompileReport, names: OutputNames) -> str:
    """The contents of the ``.log`` file."""
    return (
        f"{version_line()}\n"
        f"Input: {names.input_model}\n"
        f"Output: {names.output_model}\n\n"
        f"{explained(report)}\n"
    )


def explained(report: CompileReport) -> str:
    """Google's table, and below it what it does not tell: several subgraphs, operators that became
    constants, why others were left to the CPU."""
    told = "\n".join(filter(None, (subgraphs(report), folded(report), reasons(report))))
    table = operation_table(report.operators)
    return f"{table}\n\n{told}" if told else table
