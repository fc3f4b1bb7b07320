"""The ``throughput-experiment`` command, all but how a model becomes segments.

Cutting is the business of rooms above this one, so whoever starts the command hands in what does
it (:mod:`partitioner.experiment`).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from devices.errors import EdgeTpuError
from devices.files import write_together
from pipeline.experiment import (
    Segmenter,
    format_table,
    read_experiment,
    report_as_dict,
    run_experiment,
)
from pipeline.observing import configure_logging, remove_logging

_DESCRIPTION = """\
Measure how fast models run on one and on several Edge TPUs.

The YAML file names the models, the numbers of segments to cut them into, the pool of devices,
the queue sizes and the number of inferences; configs/quickstart.yaml is a commented example.
The result is a table: throughput, speed-up over one TPU, latency, and the bottleneck stage.
"""

_EPILOG = """\
examples:
  throughput-experiment configs/quickstart.yaml
  throughput-experiment configs/quickstart.yaml --json > result.json
  throughput-experiment configs/quickstart.yaml --output result.json --quiet
"""


def main(segmenter_in: Callable[[Path], Segmenter], argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input).

    ``segmenter_in`` makes a segmenter that keeps its files in the (temporary) folder given.
    """
    parser = argparse.ArgumentParser(
        prog="throughput-experiment",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, help="YAML file that describes the experiment")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the JSON to FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument(
        "--log_file",
        type=Path,
        metavar="FILE",
        help="append the log of the program and of all devices to FILE",
    )
    arguments = parser.parse_args(argv)

    def progress(line: str) -> None:
        if not arguments.quiet:
            print(line, file=sys.stderr, flush=True)

    try:
        if arguments.log_file is not None:
            configure_logging(logging.INFO, file=arguments.log_file)
        spec = read_experiment(arguments.experiment)
        with tempfile.TemporaryDirectory(prefix="throughput-experiment-") as folder:
            report = run_experiment(spec, segmenter_in(Path(folder)), progress)
        text = json.dumps(report_as_dict(report), indent=2)
        if arguments.output is not None:
            write_together(
                arguments.output.parent,
                {arguments.output.name: text.encode() + b"\n"},
                option="the directory of --output,",
            )
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        remove_logging()
    print(text if arguments.json else format_table(report))
    return 0
