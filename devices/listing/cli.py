"""The command ``lstpu``: the Edge TPUs on this machine, and what they do."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import edgetpu_pipeline
from devices.listing.entry import Entry
from devices.listing.real import real_edge_tpus
from devices.listing.simulated import simulated_edge_tpus
from devices.listing.table import as_json, table, with_use_between

_EPILOG = """\
States: DFU (a USB stick before its first use, which uploads its firmware),
ready, busy (it works, or did within the last second; a real one: a process has
it open), stopped (its process is), dead (its driver has given it up).  A
simulated device that died is gone from the list.

Simulated devices are those of running programs of yours, on Linux.  Their
temperature is known with `heat` in the pool, their token is that of the
parameters on the chip, and `busy` is the share of their own time, virtual or
real, since their first inference; with --watch, since the look before.
Of real ones the system tells the PCIe driver's temperature and state, whether a
stick has its firmware, and which program of yours has them open; it does not
tell what a chip does inside.

To see something:
  EDGETPU_PIPELINE_DEVICES=pi4-usb3:2 python program.py &  lstpu --watch
"""

_NONE = """\
no Edge TPU is attached to this machine, and no program of yours runs simulated ones now; start one
(EDGETPU_PIPELINE_DEVICES=usb:2 python program.py), or see lstpu --help"""

_CLEAR = "\x1b[H\x1b[2J"


def main(arguments: Sequence[str] | None = None) -> int:
    """List once or until interrupted; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="lstpu",
        description="List the Edge TPUs of this machine: real ones, and simulated ones of\n"
        "running programs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON; with --watch a line for each look"
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=1.0,
        metavar="SECONDS",
        help="look again and again, every second unless told otherwise, until Ctrl-C",
    )
    parser.add_argument(
        "--version", action="version", version=f"edgetpu-pipeline {edgetpu_pipeline.VERSION}"
    )
    options = edgetpu_pipeline.parsed(parser, arguments)
    if options.watch is None:
        entries = _look()
        print(as_json(entries) if options.json else table(entries) if entries else _NONE)
        return 0
    try:
        _watch(options.watch, options.json)
    except KeyboardInterrupt:
        print()
    return 0


def _watch(every_s: float, json: bool) -> None:
    before: list[Entry] = []
    while True:
        now = _look()
        entries = with_use_between(before, now)
        if json:
            print(as_json(entries, indent=None), flush=True)
        else:
            clear = _CLEAR if sys.stdout.isatty() else ""
            moment = time.strftime("%H:%M:%S")
            print(f"{clear}{moment}\n{table(entries) if entries else _NONE}", flush=True)
        before = now
        time.sleep(every_s)


def _look() -> list[Entry]:
    return [*real_edge_tpus(), *simulated_edge_tpus()]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of seconds from 0.05 to 3600; write --watch 2"
        )
    return seconds
