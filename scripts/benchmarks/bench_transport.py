#!/usr/bin/env python3
"""What carrying tensors from stage to stage costs: ours, the usual ways, and the limit.

Four stages in a row, a host at both ends.  Everything runs in this one call, interleaved round by
round; figures are medians over rounds with the smallest and the largest, ratios are taken inside
a round.  Peers that are not installed are reported as absent.  See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import re
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from transport.drive import LATENCY, SATURATED, Limits, working
from transport.item import MIN_SIZE_BYTES
from transport.report import notes, tables, verdicts
from transport.rounds import Measurements, Plan, measure, versions
from transport.transports import TRANSPORTS, Transport

UNITS = {"": 1, "b": 1, "kib": 1 << 10, "kb": 1000, "mib": 1 << 20, "mb": 1_000_000}
WORK_MS = (0.3, 2.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the JSON file if asked to."""
    options = _parser().parse_args(arguments)
    plan = Plan(
        transports=tuple(t for t in TRANSPORTS if t.role != "peer" or t in options.peers),
        sizes=options.sizes,
        modes=(LATENCY, SATURATED, *(working(round(ms * 1e6)) for ms in WORK_MS)),
        slots=options.slots,
        rounds=options.rounds or (2 if options.quick else 5),
        limits=Limits(options.items, round((0.1 if options.quick else options.seconds) * 1e9)),
    )
    machine = _machine(plan)
    began = time.monotonic()
    print(_heading(plan, machine), flush=True)
    measurements = measure(plan, lambda line: print(line, file=sys.stderr, flush=True))
    machine["seconds"] = round(time.monotonic() - began)
    machine["others_cpu"] = measurements.others_cpu
    conclusions = verdicts(plan, measurements)
    print(_load(measurements, machine), tables(plan, measurements), "", sep="\n")
    for line in (*conclusions, *notes(measurements)):
        print(textwrap.fill(line, 118, subsequent_indent="    ", break_on_hyphens=False))
    if options.json is not None:
        _write(options.json, plan, machine, measurements, conclusions)
    ours = [each for each in measurements.outcomes if each.transport.role == "ours"]
    return 0 if all(any(each.figures) for each in ours) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    peers = [transport.name for transport in TRANSPORTS if transport.role == "peer"]
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default=_sizes("1KiB,150KiB,1MiB"),
        help="sizes of the tensor, with commas (default: 1KiB,150KiB,1MiB)",
    )
    parser.add_argument("--rounds", type=_positive, help="default: 5, or 2 with --quick")
    parser.add_argument(
        "--peers",
        type=_peers,
        default=_peers(",".join(peers)),
        help=f"with commas, or 'none' (default: {','.join(peers)})",
    )
    parser.add_argument(
        "--items",
        type=_positive,
        default=5000,
        help="most items of one measurement (default: 5000)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.3,
        help="most seconds of one measurement, as far as enough items came by (default: 0.3)",
    )
    parser.add_argument(
        "--slots", type=_positive, default=4, help="items a hop has room for (default: 4)"
    )
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.1 s: a rough look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    sizes = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]*)\s*", part)
        if match is None or match[2].lower() not in UNITS:
            raise argparse.ArgumentTypeError(f"{part!r} is not a size such as 1024, 150KiB or 1MiB")
        size = int(match[1]) * UNITS[match[2].lower()]
        if size < MIN_SIZE_BYTES or size % 8:
            raise argparse.ArgumentTypeError(
                f"{part!r} is {size} bytes, but a size must be a multiple of 8 and at least "
                f"{MIN_SIZE_BYTES}"
            )
        sizes.append(size)
    return tuple(sizes)


def _peers(text: str) -> tuple[Transport, ...]:
    known = {transport.name: transport for transport in TRANSPORTS if transport.role == "peer"}
    names = [] if text == "none" else text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
    return tuple(known[name] for name in names)


def _machine(plan: Plan) -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_at_start": [round(load, 2) for load in os.getloadavg()],
        "packages": versions(plan.transports),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _heading(plan: Plan, machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return "\n".join(
        [
            f"{machine['cpus']} CPUs ({machine['processor']}), {machine['kernel']}, "
            f"Python {machine['python']}" + (f"; {packages}" if packages else ""),
            f"{plan.rounds} rounds of at most {plan.limits.max_ns / 1e9:g} s or "
            f"{plan.limits.max_items} items for each measurement; {plan.slots} slots per hop; "
            f"load average at start {machine['load_at_start'][0]}",
        ]
    )


def _load(measurements: Measurements, machine: dict[str, Any]) -> str:
    shares = ", ".join(f"{share:.0%}" for share in measurements.others_cpu)
    return (
        f"took {machine['seconds']} s; CPU used by others before each round: {shares}\n"
        "microseconds, median over rounds [smallest-largest]; * is ours; x ours: over the bare "
        "channel's\nadded: period minus the slowest stage's own service; x C: over the C program's"
        "\n"
    )


def _write(
    path: Path,
    plan: Plan,
    machine: dict[str, Any],
    measurements: Measurements,
    conclusions: Sequence[str],
) -> None:
    document = {
        "machine": machine,
        "plan": dataclasses.asdict(plan),
        "outcomes": [dataclasses.asdict(outcome) for outcome in measurements.outcomes],
        "verdicts": list(conclusions),
    }
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(document, indent=1))
    os.replace(unfinished, path)


if __name__ == "__main__":
    sys.exit(main())
