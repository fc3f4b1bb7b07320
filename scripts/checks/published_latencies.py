#!/usr/bin/env python3
"""Latencies that others measured, beside those of the same networks of the zoo, compiled here.

    python scripts/checks/published_latencies.py measurements.csv
    python scripts/checks/published_latencies.py measurements.csv --only inception resnet

The table of measurements has the columns model (a name of the zoo), interface (usb3 or pcie) and
measured_ms, and perhaps host, and params_mib, the size of the parameters as Google's compiler
reported it.  Nothing is fitted here: a network is built without its weights, compiled, and the
latency model is asked.  Rows of other networks and interfaces are counted and left out.

What a row cannot tell: hosts differ by more than the model's error, and a CPU tail takes as long
as the host needs for it.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import zoo
from compiler import compile_graph, graph_from_bytes
from devices.chip import PCIE_DEV_BOARD, PCIE_PC, USB_X86, LatencyModel, LinkParameters
from devices.chip.constants import USB_JETSON
from devices.executable import ExecutableInfo
from devices.executable.file import executable_from_bytes

MIB = 2**20


@dataclass(frozen=True)
class Compiled:
    """A network as the latency model wants it, and the size of its parameters on the chip."""

    info: ExecutableInfo
    input_bytes: int
    output_bytes: int

    @property
    def parameters_mib(self) -> float:
        return (self.info.on_chip_bytes + self.info.off_chip_bytes) / MIB


@cache
def compiled(name: str) -> Compiled:
    """The network ``name`` of the zoo.  Raises :class:`zoo.UnknownModelError` for other names."""
    result = compile_graph(graph_from_bytes(zoo.build(name, weights="zeros"), name))
    executable = executable_from_bytes(result.data, Path(name))
    return Compiled(
        result.info,
        sum(tensor.size_bytes for tensor in executable.mapped_inputs),
        sum(tensor.size_bytes for tensor in executable.mapped_outputs),
    )


def link_of(interface: str, host: str) -> LinkParameters | None:
    """The link that comes closest to where a row was measured."""
    if interface == "usb3":
        return USB_JETSON if "Jetson" in host else USB_X86
    if interface == "pcie":
        return PCIE_DEV_BOARD if "Dev Board" in host else PCIE_PC
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns 0, or 2 when it cannot be read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measurements", type=Path, help="a .csv file")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD", help="rows whose model has one of these"
    )
    options = parser.parse_args(arguments)
    try:
        with options.measurements.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        print(f"error: cannot read {options.measurements}: {error}", file=sys.stderr)
        return 2
    if not rows or not {"model", "interface", "measured_ms"} <= set(rows[0]):
        print(
            f"error: {options.measurements} has no columns model, interface and measured_ms; "
            "give a table that has them",
            file=sys.stderr,
        )
        return 2
    print("model,link,host,measured_ms,predicted_ms,error,params_mib,predicted_params_mib")
    errors: list[float] = []
    left_out = 0
    for row in rows:
        name, host = row["model"], row.get("host") or ""
        if options.only and not any(word in name for word in options.only):
            continue
        link = link_of(row["interface"], host)
        try:
            network = compiled(name)
            measured_ms = float(row["measured_ms"])
        except (zoo.UnknownModelError, ValueError):
            link = None
        if link is None:
            left_out += 1
            continue
        timing = LatencyModel(link).timing(
            network.info, network.input_bytes, network.output_bytes, cold=False
        )
        predicted_ms = timing.total_ns / 1e6
        errors.append(predicted_ms / measured_ms - 1)
        print(
            f'{name},{link.name},"{host}",{measured_ms:g},{predicted_ms:.3f},{errors[-1]:+.1%},'
            f"{row.get('params_mib') or ''},{network.parameters_mib:.3f}",
            flush=True,
        )
    if errors:
        absolute = sorted(abs(error) for error in errors)
        print(
            f"{len(errors)} rows, absolute error median {statistics.median(absolute):.1%}, "
            f"90th percentile {absolute[int(0.9 * (len(absolute) - 1))]:.1%}; {left_out} left out",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
