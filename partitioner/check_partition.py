"""Check a ``partition.json`` against its model, without trusting the search that wrote it.

    python -m partitioner.check_partition partition.json [--model FILE]

Nothing is measured again.  Everything else is worked out anew from the measurements listed and the
model: what the cut takes, the bound and what else is claimed, the sentences and, where the built-in
compiler made the segments, what is said of each and its executable.  Executables beside the file
have to be those that it is about.  What is left to believe is printed.
"""

from __future__ import annotations

import argparse
import hashlib
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
from devices.executable import executable_from_bytes
from partitioner.certificate import check_report, claims_of
from partitioner.graphs import problem_asked
from partitioner.measuring import operators_of as kinds_in
from partitioner.partition_file import check_form, read_report
from partitioner.problem import Claims, Problem, operators_of
from partitioner.reporting import FORMAT_VERSION, counted, milliseconds, numbers_in_file, why


def summary(content: Mapping[str, Any]) -> str:
    """What a report that passed claims, and what the claim rests on."""
    measured = len(content["certificate"]["measured"])
    cuts = ", ".join(map(str, content["cuts"]))
    lines = [
        f"{content['model']}, {f'cut before operators {cuts}' if cuts else 'not cut'}: bottleneck "
        f"{milliseconds(content['bottleneck_ns'])}, gap {milliseconds(content['gap_ns'])}, "
        f"{counted(measured, 'segment')} measured.",
        content["why"],
    ]
    if not content["lower_bound_ns"] and not content["proven"]:
        lines.append("It is not claimed that no other cut is better.")
    lines.append("This follows from the measurements listed, provided that")
    lines += [f"- {text}" for text in content["certificate"]["assumptions"]]
    guard = content["guard"]
    lines.append(
        f"Checked on {counted(guard['nested'], 'segment')}, of which none was faster than its "
        f"parts allow by more than {100 * guard['worst_violation']:.2f} %."
    )
    if guard["model_sigmas"] is not None:
        lines.append(
            f"Measured segments were at most {100 * guard['worst_model_error']:.2f} % faster than "
            f"the others let expect; {guard['model_sigmas']:.1f} standard deviations are granted."
        )
    compiled = "" if content["compiler"] == "built-in" else "what another compiler made, "
    lines.append(
        f"Not worked out again: {compiled}what was measured and tried, that outputs are identical, "
        "and what is said of other numbers of TPUs."
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
    check_form(content, len(graph))
    try:
        problem = problem_of_report(content, graph)
        check_report(content, problem)
        if content["why"] != why(claims_of(content, problem), content):
            raise ValueError("why says what does not follow from the measurements")
        if content["numbers_in_file"] != list(numbers_in_file(graph)):
            raise ValueError("numbers_in_file are not those of the model's operators")
        if content["compiler"] == "built-in":
            _check_compiled(content, graph)
    except KeyError as error:
        raise ValueError(f"there is no field {error.args[0]!r}") from error
    except (TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"a field has the wrong type ({error})") from error
    except EdgeTpuError as error:
        raise ValueError(f"the model cannot be cut so: {error}") from error


def _check_compiled(content: Mapping[str, Any], graph: Graph) -> None:
    """Compile the segments again and compare what is said of them."""
    step = content["options"]["delegate_search_step"]
    options = CompileOptions(search_delegate=True, delegate_search_step=step)
    for number, segment in enumerate(content["segments"]):
        operators = operators_of(tuple(chain(*segment["operators_in_file"])))
        compiled = compile_operators(graph, operators, options)
        executable = executable_from_bytes(compiled.data, Path(segment["file"]))
        kinds = kinds_in(compiled.data)
        follows = {
            "on_chip_bytes": compiled.info.on_chip_bytes,
            "off_chip_bytes": compiled.info.off_chip_bytes,
            "input_bytes": sum(spec.size_bytes for spec in executable.inputs),
            "output_bytes": sum(spec.size_bytes for spec in executable.outputs),
            "cpu_operators": list(kinds.on_cpu),
            "on_edge_tpu": kinds.on_edge_tpu,
            "file_sha256": hashlib.sha256(compiled.data).hexdigest(),
        }
        for field, value in follows.items():
            if segment[field] != value:
                raise ValueError(
                    f"{field} of segment {number} is {segment[field]}, but it compiles to {value}"
                )


def check_files(content: Mapping[str, Any], folder: Path) -> bool:
    """Whether the executables are in ``folder``, where they were written.

    Raises ``ValueError`` where one is another than was measured, or some are missing.
    """
    files = {one["file"]: one["file_sha256"] for one in content["segments"]}
    there = [name for name in files if (folder / name).exists()]
    for name, digest in files.items():
        if there and name not in there:
            raise ValueError(f"{name} is not beside it, though {there[0]} is")
        if there and hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise ValueError(f"{name} beside it is another than was measured")
    return bool(there)


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
        content = read_report(path)
    except (OSError, ValueError) as error:
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
        model = arguments.model
        data, name, stem = read_source(str(content.get("model")) if model is None else model)
        graph = graph_from_bytes(data, name, stem=stem)
    except EdgeTpuError as error:
        reason = " ".join(str(error).split())  # a path may have any character
        print(f"{reason} Give the model that {path} is about with --model.", file=sys.stderr)
        return 2
    try:
        check(content, data, graph)
        beside = check_files(content, path.parent)
    except (OSError, ValueError) as error:
        print(f"{path} does not hold: {str(error).rstrip('.')}.", file=sys.stderr)
        return 1
    print(summary(content))
    if not beside:
        print("The executables are not beside it, and were not looked at.")
    return 0


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))
