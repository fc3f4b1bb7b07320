"""The command ``edgetpu-hosts``: the computers that simulated Edge TPUs can be attached to."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

import edgetpu_pipeline
from devices.chip import ACCELERATOR, CLOCKS_MHZ, HOSTS, Host, power_of

_CLOCKS = ", ".join(map(str, CLOCKS_MHZ))
_EPILOG = f"""\
Name one wherever devices are described:
  partition-with-profiling --pool pi4-usb3:4 ...
  EDGETPU_PIPELINE_DEVICES=pi4-usb3@250:2 python program.py
  in YAML:
    {{host: pi4-usb3, clock_mhz: 250, host_constants: {{overhead_ns: 700000}}}}

Clocks: {_CLOCKS} MHz (Performance Low, Medium, High, Max of Coral's
library; 500 is libedgetpu-max and PCIe, 250 libedgetpu-std).
How far predictions are off: docs/device-model.md.
"""

_COLUMNS = (
    ("overhead", "ms", "overhead_ns", 1e-6, 3),
    ("input", "ms/MB", "input_ns_per_byte", 1, 2),
    ("output", "ms/MB", "output_ns_per_byte", 1, 1),
    ("stream", "MB/ms", "stream_bytes_per_ns", 1, 3),
    ("upload", "MB/ms", "upload_bytes_per_ns", 1, 3),
    ("CPU", "factor", "cpu_factor", 1, 1),
    ("clock", "MHz", "clock_mhz", 1, 0),
    ("within", "x or /", "spread", 1, 2),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the hosts; returns 0."""
    parser = argparse.ArgumentParser(
        prog="edgetpu-hosts",
        description="The hosts a simulated Edge TPU can be attached to, and what they cost.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--version", action="version", version=f"edgetpu-pipeline {edgetpu_pipeline.VERSION}"
    )
    options = edgetpu_pipeline.parsed(parser, arguments)
    if options.json:
        told = [{**asdict(host), "power_w": asdict(power_of(host.name))} for host in HOSTS.values()]
        print(json.dumps(told, indent=2))
    else:
        print(table(list(HOSTS.values())))
    return 0


def _power_line(host: Host) -> str:
    """What a device there draws, in words."""
    power = power_of(host.name)
    whose = f", {host.name}" if power.includes != ACCELERATOR.includes else ""
    idle, active = (f"{w.likely:g} W ({w.low:g} to {w.high:g})" for w in (power.idle, power.active))
    return f"power{whose}: {power.includes} draws {idle} idle and {active} at work"


def table(hosts: Sequence[Host]) -> str:
    """The hosts and their numbers, a line each, those that are assumed marked by ``*``."""
    lines = [
        f"{'host':15}" + "".join(f"{title:>9}" for title, *_ in _COLUMNS),
        f"{'':15}" + "".join(f"{unit:>9}" for _, unit, *_ in _COLUMNS),
    ]
    for host in hosts:
        cells = []
        for _, _, field, scale, digits in _COLUMNS:
            mark = "*" if field in host.assumed else " "
            value = getattr(host, field) * scale + (field == "spread")
            cells.append(f"{value:>8.{digits}f}{mark}")
        lines.append(f"{host.name:15}{''.join(cells)}".rstrip())
    lines += ["", *(f"{host.name:15}{host.summary}" for host in hosts)]
    lines += [
        "",
        *dict.fromkeys(_power_line(host) for host in hosts),
        "",
        "* not measured on this host: borrowed from a similar one",
        "within: of networks that were not fitted, four of five published latencies lie that close",
    ]
    return "\n".join(lines)
