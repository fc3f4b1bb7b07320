"""``throughput-experiment compare``: two runs beside each other, for people and for CI."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import edgetpu_pipeline
from devices.errors import EdgeTpuError
from pipeline.experiment import Comparison, Difference, compare, read_points

_DESCRIPTION = """\
Say what changed from one run of an experiment to another, beyond chance.

Points are matched by their whole description, or, where no two are alike (USB
in one run, PCIe in the other), by what was varied. A figure has changed where
it differs by more than --tolerance and by more than its repeats scatter
(Welch's test, 5 % for the whole comparison). Without noise the virtual clock
repeats to the nanosecond and one repeat tells; on the wall clock, or with
noise, one repeat cannot, and its changes are called unclear.
"""

_EPILOG = """\
examples:
  throughput-experiment compare rack-1 rack-2           two folders of runs
  throughput-experiment compare main/results.json rack-2 --tolerance 3%
  throughput-experiment compare usb-run pcie-run --all  also what did not change

Exit codes: 0 nothing became worse; 1 something did; 2 the runs cannot be
compared.
"""

_UNITS = {"throughput_per_s": ("throughput", "/s", 1.0), "valid": ("VALID", "", 1.0)}


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="throughput-experiment compare",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("before", type=Path, help="folder of a run, or its results.json")
    parser.add_argument("after", type=Path, help="the same of the other run")
    parser.add_argument(
        "--tolerance",
        type=_share,
        default=0.01,
        metavar="SHARE",
        help="relative change that does not matter, such as 0.02 or 2%% (default 1%%)",
    )
    parser.add_argument("--all", action="store_true", help="list what did not change, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    edgetpu_pipeline.add_version(parser)
    arguments = edgetpu_pipeline.parsed(parser, argv)
    try:
        found = compare(
            read_points(arguments.before), read_points(arguments.after), arguments.tolerance
        )
        if not found.points:
            raise EdgeTpuError(
                f"{arguments.before} and {arguments.after} have no point in common (points are "
                f"matched by what was varied: {found.only_before[0]} ... against "
                f"{found.only_after[0]} ...); compare runs of one experiment."
            )
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        print(format_comparison(found, everything=arguments.all))
    return 1 if found.worse else 0


def format_comparison(found: Comparison, *, everything: bool = False) -> str:
    """What changed, within 80 columns, and a summary behind it."""
    lines: list[str] = []
    if found.settings:
        lines.append("settings that differ (field: before, after):")
        lines += [_shortened(f"  {text}", 80) for text in found.settings]
        lines.append("")
    shown = [one for one in found.differences if everything or one.judgement != "equal"]
    place = None
    for one in shown:
        if one.point != place:
            lines.append(_shortened(one.point, 80))
            place = one.point
        lines.append(_line(one))
    for title, names in (("before", found.only_before), ("after", found.only_after)):
        lines += [_shortened(f"only {title}: {name}", 80) for name in names]
    counts = {
        word: sum(one.judgement == word for one in found.differences)
        for word in ("worse", "better", "unclear", "equal")
    }
    lines.append(
        ("" if not lines else "\n")
        + f"{found.points} points compared: "
        + ", ".join(f"{count} figures {word}" for word, count in counts.items() if count)
    )
    return "\n".join(lines)


def _line(one: Difference) -> str:
    name, unit, scale = _UNITS.get(one.figure, (one.figure, "", 1.0))
    if one.figure.endswith("_ns"):
        name, unit, scale = one.figure.removesuffix("_ns").replace("_", " "), " ms", 1e6
    a, b = (f"{value / scale:.6g}{unit}" for value in (one.before, one.after))
    change = "" if one.change is None else f"{100 * one.change:+.1f} %"
    chance = "" if one.chance is None else f"p {one.chance:.2g}"
    return f"  {one.judgement:<8}{name:<14}{a:>14} -> {b:<14}{change:>9}  {chance}".rstrip()


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _share(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give 0.02 or 2%")
    return value
