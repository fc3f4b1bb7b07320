"""Check a ``partition.json`` against its model, without trusting the search that wrote it.

    python -m partitioner.check_partition partition.json [--model FILE]

Nothing is measured again.  Everything else is worked out anew from the measurements listed and the
model: what the cut takes, the bound and what else is claimed, the sentences and, where the built-in
compiler made the segments, their sizes.  What is left to believe is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any

import edgetpu_pipeline
from compiler import CompileOptions, Graph, compile_operators, graph_from_bytes
from compiler.reading import read_source
from devices.errors import EdgeTpuError
from partitioner.certificate import check_report, claims_of
from partitioner.graphs import problem_asked
from partitioner.problem import Claims, Problem, operators_of
from partitioner.reporting import FORMAT_VERSION, milliseconds, numbers_in_file, why


def summary(content: Mapping[str, Any]) -> str:
    """What a report that passed claims, and what the claim rests on."""
    measured = len(content["certificate"]["measured"])
    cuts = ", ".join(map(str, content["cuts"]))
    lines = [
        f"{content['model']}, {f'cut before operators {cuts}' if cuts else 'not cut'}: bottleneck "
        f"{milliseconds(content['bottleneck_ns'])}, gap {milliseconds(content['gap_ns'])}, "
        f"{measured} segments measured.",
        content["why"],
    ]
    if not content["lower_bound_ns"]:
        lines.append("It is not claimed that no other cut is better.")
    lines.append("This follows from the measurements listed, provided that")
    lines += [f"- {text}" for text in content["certificate"]["assumptions"]]
    guard = content["guard"]
    lines.append(
        f"Checked on {guard['nested']} segments, of which none was faster than its parts allow by "
        f"more than {100 * guard['worst_violation']:.2f} %."
    )
    if guard["model_sigmas"] is not None:
        lines.append(
            f"Measured segments were at most {100 * guard['worst_model_error']:.2f} % faster than "
            f"the others let expect; {guard['model_sigmas']:.1f} standard deviations are granted."
        )
    return "\n".join(lines)


def problem_of_report(content: Mapping[str, Any], graph: Graph) -> Problem:
    """The problem that a ``partition.json`` answers, from its options and the model."""
    options = content["options"]
    return problem_asked(
        graph,
        len(content["segments"]),
        strategy=content["strategy"],
        order=options["order"],
        partition_search_step=options["partition_search_step"],
        cuts=None if options["cuts"] is None else tuple(options["cuts"]),
    )


def check(content: Mapping[str, Any], data: bytes, graph: Graph) -> None:
    """Raise ``ValueError`` with what does not follow from the file and the model it names."""
    if content.get("model_sha256") != hashlib.sha256(data).hexdigest():
        raise ValueError("model_sha256 is another model's")
    try:
        problem = problem_of_report(content, graph)
        check_report(content, problem)
        if content["why"] != why(claims_of(content, problem), content):
            raise ValueError("why says what does not follow from the measurements")
        if content["numbers_in_file"] != list(numbers_in_file(graph)):
            raise ValueError("numbers_in_file are not those of the model's operators")
        if content["compiler"] == "built-in":
            _check_sizes(content, graph)
    except KeyError as error:
        raise ValueError(f"there is no field {error.args[0]!r}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"a field has the wrong type ({error})") from error
    except EdgeTpuError as error:
        raise ValueError(f"the model cannot be cut so: {error}") from error


def _check_sizes(content: Mapping[str, Any], graph: Graph) -> None:
    """Compile the segments again and compare what memory they need."""
    step = content["options"]["delegate_search_step"]
    options = CompileOptions(search_delegate=True, delegate_search_step=step)
    for number, segment in enumerate(content["segments"]):
        operators = operators_of(tuple(chain(*segment["operators_in_file"])))
        info = compile_operators(graph, operators, options).info
        for field in ("on_chip_bytes", "off_chip_bytes"):
            if segment[field] != getattr(info, field):
                raise ValueError(
                    f"{field} of segment {number} is {segment[field]}, but it compiles to "
                    f"{getattr(info, field)}"
                )


def main(argv: Sequence[str] | None = None) -> int:
    """0: everything holds.  1: something does not.  2: a file cannot be read, or is of another
    version, whose claims may follow by other rules."""
    parser = argparse.ArgumentParser(
        prog="python -m partitioner.check_partition",
        description="Check a partition.json against its model, without trusting the search that "
        "wrote it.",
    )
    parser.add_argument("file", type=Path, help="a partition.json")
    parser.add_argument("--model", help="where the model is now (default: where it was then)")
    edgetpu_pipeline.add_version(parser)
    arguments = edgetpu_pipeline.parsed(parser, argv)
    path: Path = arguments.file
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        print(f"{path} cannot be read ({error}); give a partition.json.", file=sys.stderr)
        return 2
    if not isinstance(content, dict) or "certificate" not in content:
        print(f"{path} has no certificate; give a partition.json.", file=sys.stderr)
        return 2
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        missing = [field.name for field in fields(Claims) if field.name not in content]
        without = f" without {', '.join(missing)}" if missing else ""
        print(
            f"{path} is of format_version {version}{without}, but this program checks those of "
            f"{FORMAT_VERSION}; check it with the edgetpu-pipeline that wrote it, or cut the model "
            "again.",
            file=sys.stderr,
        )
        return 2
    try:
        data, name, stem = read_source(arguments.model or str(content.get("model")))
        graph = graph_from_bytes(data, name, stem=stem)
    except EdgeTpuError as error:
        print(f"{error} Give the model that {path} is about with --model.", file=sys.stderr)
        return 2
    try:
        check(content, data, graph)
    except ValueError as error:
        print(f"{path} does not hold: {error}.", file=sys.stderr)
        return 1
    print(summary(content))
    return 0


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))
