"""The command ``edgetpu-doctor``: what works here, what does not, and what to do."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import edgetpu_pipeline
from devices.chip import HOSTS
from devices.coral import LIBRARY
from devices.errors import EdgeTpuError
from devices.files import write_together
from pycoral.doctor.examination import examination, report
from pycoral.doctor.real import Trial

_EPILOG = """\
Every check is a line: ok, failed or skipped, what was found, and what to do.
The exit code is 1 if a check failed, 0 otherwise, 2 if the command cannot do
its work.
For the first run with a real Edge TPU: docs/real-hardware.md.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and tell; returns the exit code."""
    options = edgetpu_pipeline.parsed(_parser(), arguments)
    findings = []
    try:
        for finding in examination(
            options.library, Trial(options.compiled, options.model, options.host)
        ):
            findings.append(finding)
            if not options.json:
                print(finding.line(), flush=True)
        document = json.dumps(report(findings), indent=2) + "\n"
        if options.output is not None:
            write_together(
                options.output.parent, {options.output.name: document.encode()}, option="output"
            )
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return 2
    counts = Counter(finding.outcome for finding in findings)
    if options.json:
        print(document, end="")
    else:
        print(f"{counts['ok']} ok, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edgetpu-doctor",
        description="Check this machine for the use of Edge TPUs, real and simulated.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--compiled",
        type=Path,
        metavar="FILE",
        help="a file made by Google's edgetpu_compiler, to run on each real device",
    )
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="the .tflite it was made of, or zoo:NAME, to set its modelled time beside",
    )
    parser.add_argument(
        "--host",
        choices=list(HOSTS),
        metavar="HOST",
        help="what this machine is like, for the modelled time (edgetpu-hosts lists them)",
    )
    parser.add_argument(
        "--library",
        default=LIBRARY,
        metavar="NAME",
        help="name or path of Google's runtime (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write a report as JSON, to send to who helps"
    )
    parser.add_argument(
        "--version", action="version", version=f"edgetpu-pipeline {edgetpu_pipeline.VERSION}"
    )
    return parser
