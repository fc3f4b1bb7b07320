"""Check a ``partition.json`` without trusting the search that wrote it.

    python -m partitioner.check_partition partition.json

Nothing is compiled or measured again.  What is checked: that the report speaks of the cuts of its
certificate, that their value and gap follow from the measurements listed, that the bound bears out
what is claimed, and that no better cut can be made of the segments measured.  What is left to
believe is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from partitioner.certificate.claim import check_certificate
from partitioner.problem.ranges import FILE_ORDER
from partitioner.problem.segments import Segments
from partitioner.reporting.progress import milliseconds
from partitioner.solving.paths import best_cuts

_SAME = ("cuts", "gap_ns", "lower_bound_ns", "optimality_gap", "strategy")
"""Fields that the report and its certificate both have."""

_SOLVES = ("optimal", "exhaustive")
"""Strategies that promise the best cut of all segments they measured."""


def check_report(content: Mapping[str, Any]) -> None:
    """Hold a whole ``partition.json`` against the measurements it lists.

    Raises :class:`ValueError` with what is wrong.
    """
    try:
        certificate, operators = content["certificate"], content["num_operators"]
        for field in _SAME:
            if content[field] != certificate[field]:
                raise ValueError(
                    f"{field} is {content[field]} in the report, {certificate[field]} in the "
                    "certificate"
                )
        if content["bottleneck_ns"] != certificate["value_ns"]:
            raise ValueError(
                f"the bottleneck is {content['bottleneck_ns']} in the report, the value "
                f"{certificate['value_ns']} in the certificate"
            )
        check_certificate(certificate, operators)
        best = _best_of_measured(content, operators)
        if best is None:
            return
        if best[0] < certificate["lower_bound_ns"]:
            raise ValueError(
                f"measured segments make a cut with a bottleneck of {best[0]}, below the lower "
                f"bound {certificate['lower_bound_ns']}"
            )
        if certificate["ended"] == "balanced":
            threshold = content["options"]["diff_threshold_ns"]
            if certificate["gap_ns"] >= threshold:
                raise ValueError(
                    f"the cut is said to be balanced, but its gap is {certificate['gap_ns']} and "
                    f"the threshold {threshold}"
                )
        elif certificate["strategy"] in _SOLVES and best != (
            certificate["value_ns"],
            certificate["gap_ns"],
        ):
            raise ValueError(
                f"measured segments make a cut with bottleneck {best[0]} and gap {best[1]}, but "
                f"the one chosen has {certificate['value_ns']} and {certificate['gap_ns']}"
            )
    except KeyError as error:
        raise ValueError(f"there is no field {error.args[0]!r}") from error
    except (TypeError, IndexError) as error:
        raise ValueError(f"a field has the wrong type ({error})") from error


def _best_of_measured(content: Mapping[str, Any], operators: int) -> tuple[int, int] | None:
    """Bottleneck and gap of the best cut that the segments measured can make.

    ``None`` where the report does not say which of those cuts were allowed: with unequal devices,
    steps of several operators, or operators in another order than the file's.
    """
    certificate = content["certificate"]
    if (
        certificate["kinds"]
        or certificate["order"] != FILE_ORDER
        or content["options"].get("partition_search_step", 1) != 1
    ):
        return None
    table = np.array(
        [entry for entry in certificate["measured"] if entry[2] is not None], dtype=np.int64
    ).reshape(-1, 3)
    first, end, latency = table[np.lexsort((table[:, 1], table[:, 0]))].T
    best = best_cuts(
        Segments(operators + 1, first.astype(np.intp), end.astype(np.intp)),
        latency.astype(np.float64),
        len(certificate["cuts"]) + 1,
    )
    return None if best is None else (int(best.bottleneck), int(best.gap))


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
    path: Path = parser.parse_args(argv).file
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
    sys.exit(main())
