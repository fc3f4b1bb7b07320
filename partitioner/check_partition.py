"""Check a ``partition.json`` without trusting the search that wrote it.

    python -m partitioner.check_partition partition.json

What is checked: :mod:`partitioner.certificate.checker`.  What is left to believe is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import edgetpu_pipeline
from partitioner.certificate import check_report
from partitioner.reporting import milliseconds


def summary(content: Mapping[str, Any]) -> str:
    """What a report that passed claims, and what the claim rests on."""
    certificate = content["certificate"]
    value, bound = certificate["value_ns"], certificate["lower_bound_ns"]
    lines = [
        f"{content['model']}, cut before operators {', '.join(map(str, certificate['cuts']))}: "
        f"bottleneck {milliseconds(value)}, gap {milliseconds(certificate['gap_ns'])}, "
        f"{len(certificate['measured'])} segments measured."
        if certificate["cuts"]
        else f"{content['model']}, not cut: {milliseconds(value)}."
    ]
    if certificate["proven"]:
        lines.append(f"In {certificate['order']}, no cut has a lower bottleneck.")
    elif bound > 0:
        share = 100 * certificate["optimality_gap"]
        lines.append(
            f"In {certificate['order']}, no cut has a bottleneck below {milliseconds(bound)}, so "
            f"this one is at most {share:.1f} % above the optimum."
        )
    else:
        lines.append("It is not claimed that no other cut is better.")
    lines.append("This follows from the measurements listed, provided that")
    lines += [f"- {text}" for text in certificate["assumptions"]]
    sigmas = certificate["model_sigmas"]
    if sigmas is not None:
        lines.append(
            f"Checked on {certificate['segments_checked']} segments: worst_violation "
            f"{certificate['worst_violation']:.4f}, worst_model_error "
            f"{certificate['worst_model_error']:.4f}, model_sigmas {sigmas:.1f}."
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """0: everything holds.  1: something does not.  2: the file cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m partitioner.check_partition",
        description="Check a partition.json without trusting the search that wrote it.",
    )
    parser.add_argument("file", type=Path, help="a partition.json")
    edgetpu_pipeline.add_version(parser)
    path: Path = edgetpu_pipeline.parsed(parser, argv).file
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        print(f"{path} cannot be read ({error}); give a partition.json.", file=sys.stderr)
        return 2
    if not isinstance(content, dict) or "certificate" not in content:
        print(f"{path} has no certificate; give a partition.json.", file=sys.stderr)
        return 2
    try:
        check_report(content)
    except ValueError as error:
        print(f"{path} does not hold: {error}.", file=sys.stderr)
        return 1
    print(summary(content))
    return 0


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))
