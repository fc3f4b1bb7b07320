"""The ``throughput-experiment`` command, all but how a model is cut and how the page is drawn.

That is the business of rooms above this one, so whoever starts the command hands in what does it
(:mod:`partitioner.experiment`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import edgetpu_pipeline
from devices.errors import ConfigError, EdgeTpuError
from devices.files import write_together
from pipeline import compare_cli
from pipeline.describing import (
    ExperimentSpec,
    format_plan,
    found,
    listing,
    read_experiment,
    schema_text,
    shelved,
)
from pipeline.experiment import (
    CONFIG,
    Journal,
    Progress,
    RunResult,
    Segmenter,
    check_models,
    check_new,
    format_csv,
    format_report,
    label_of,
    parquet_of,
    read_run,
    report_as_dict,
    results_of,
    run_experiment,
    trace_name,
    trace_of,
    with_speed_ups,
)
from pipeline.observing import configure_logging, remove_logging

Page = Callable[[str, Sequence[RunResult], str], str]
"""Draws the report: its name, the points, the YAML; gives HTML."""

_DESCRIPTION = """\
Measure how fast models run on one and on several Edge TPUs.

A YAML file says what is to be run; every field of it may be a list or range
such as 1-8, and the experiment is the product. Everything is checked before
anything runs. Every point is kept in the folder of the run as soon as it is
done, with all that is needed to repeat it.
"""

_EPILOG = """\
examples:
  throughput-experiment --list                     those that come along
  throughput-experiment quickstart                 run one of them
  throughput-experiment rack.yaml --dry-run        what would be run, and what
                                                   is wrong with it
  throughput-experiment rack.yaml --output rack-1  results into that folder
  throughput-experiment rack.yaml --set pool.link=pcie --set segments=1-8
  throughput-experiment --resume rack-1            go on after an interruption
  throughput-experiment compare rack-1 rack-2      what changed beyond noise
  throughput-experiment --schema > experiment.schema.json       for editors

A file may be as short as:
  models: zoo:mobilenet_v2_1.0_224
  segments: 1-4

"Which TPUs answer 99 % of 30 requests per second within 100 ms?" is:
  models: my_model.tflite               # a path, a glob, zoo:NAME or a list
  segments: 1-4                         # TPUs in one pipeline
  partition: optimal                    # the cut with the best slowest segment
  arrivals: {kind: poisson, per_s: 30}  # or saturated, rate, closed, bursts ...
  goals: p99 <= 100 ms                  # points are VALID or INVALID, and why
  pool: {host: [pi4-usb3, usb3-x86]}    # edgetpu-hosts lists what there is

All fields: docs/experiments.md. Exit codes: 0 done; 2 something is wrong, or a
point broke that no goal judges; 130, 143 interrupted, with what was done kept.
"""


class _Terminated(KeyboardInterrupt):
    """SIGTERM arrived: leave as Ctrl-C does, but say so in the exit code."""


@dataclass(frozen=True)
class _Tools:
    segmenter: Segmenter
    page: Page


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="throughput-experiment",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "experiment", type=Path, nargs="?", help="YAML file, or a name that --list shows"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for the run, new or empty; by default NAME-results, or NAME-results-2, ...",
    )
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with the run in DIR")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="set a field, such as pool.link=pcie or segments=1-4; may be repeated",
    )
    parser.add_argument("--dry-run", action="store_true", help="check all and print the plan")
    parser.add_argument("--list", action="store_true", help="list the experiments that come along")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the YAML")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument(
        "--log_file",
        type=Path,
        metavar="FILE",
        help="append the log of the program and of all devices to FILE",
    )
    parser.add_argument(
        "--version", action="version", version=f"edgetpu-pipeline {edgetpu_pipeline.VERSION}"
    )
    return parser


def main(segmenter: Segmenter, page: Page, argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input)."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["compare"]:
        return compare_cli.main(words[1:])
    parser = _parser()
    arguments = edgetpu_pipeline.parsed(parser, words)
    if arguments.list or arguments.schema:
        print(listing() if arguments.list else schema_text(), end="\n" if arguments.list else "")
        return 0
    if (arguments.experiment is None) == (arguments.resume is None):
        parser.error("give a YAML file or a name that --list shows, or --resume DIR, not both")
    if arguments.resume is not None and (arguments.output or arguments.set):
        parser.error("--resume goes on as the run began; leave --output and --set out")
    try:
        if arguments.log_file is not None:
            configure_logging(logging.INFO, file=arguments.log_file)
        with _sigterm_raises():
            return _command(arguments, _Tools(segmenter, page))
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return 2
    except _Terminated:
        print("terminated; nothing was begun", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("interrupted; nothing was begun", file=sys.stderr)
        return 130
    finally:
        remove_logging()


def _command(arguments: argparse.Namespace, tools: _Tools) -> int:
    progress = Progress(sys.stderr, live=sys.stderr.isatty())
    if arguments.resume is not None:
        run = read_run(arguments.resume)
        spec = read_experiment(
            arguments.resume / CONFIG, base=Path(run["base"]), name=str(run["name"])
        )
        hashes = check_models(spec, tools.segmenter)
        journal = Journal.resume(arguments.resume, spec, hashes)
    else:
        path = found(arguments.experiment)
        if not path.exists() and not path.suffix:
            raise ConfigError(
                f"{path} is no file and none of the experiments that come along "
                f"({', '.join(shelved())}); name one of them, or a YAML file."
            )
        spec = read_experiment(path, arguments.set)
        output = arguments.output or _free(f"{spec.name}-results")
        check_new(output)
        hashes = check_models(spec, tools.segmenter)
        if arguments.dry_run:
            print(format_plan(spec, output))
            return 0
        journal = Journal.begin(output, spec, hashes, path.parent)
    code = 0
    try:
        run_experiment(
            spec, tools.segmenter, journal, (lambda *_: None) if arguments.quiet else progress
        )
    except _Terminated:
        code = 143
    except KeyboardInterrupt:
        code = 130
    finally:
        progress.close()
    results = with_speed_ups(results_of(spec, journal))
    _write(journal.folder, spec, results, tools.page)
    _print(arguments, spec, results, journal.folder, code)
    broken = [one for one in results if one.lost and not one.config["goals"]]
    for one in broken:
        print(f"{label_of(one)}: {'; '.join(one.why)}", file=sys.stderr)
    return code or (2 if broken else 0)


def _print(
    arguments: argparse.Namespace,
    spec: ExperimentSpec,
    results: Sequence[RunResult],
    folder: Path,
    code: int,
) -> None:
    if arguments.json:
        print(json.dumps(report_as_dict(spec.name, results), indent=2))
    elif results:
        print(format_report(spec.name, results, len(spec.points)))
    if code:
        print(
            f"interrupted with {len(results)} of {len(spec.points)} points done; go on with: "
            f"throughput-experiment --resume {folder}",
            file=sys.stderr,
        )
    elif not arguments.quiet:
        print(f"Results: {folder}/report.html, results.csv, results.json", file=sys.stderr)


def _write(folder: Path, spec: ExperimentSpec, results: Sequence[RunResult], page: Page) -> None:
    report = json.dumps(report_as_dict(spec.name, results), indent=2)
    config = (folder / CONFIG).read_text(encoding="utf-8")
    files = {
        "results.json": report.encode() + b"\n",
        "results.csv": format_csv(results).encode(),
        "report.html": page(spec.name, results, config).encode(),
    }
    if results and (parquet := parquet_of(results)) is not None:
        files["results.parquet"] = parquet
    traces = {Path(trace_name(one)): trace_of(one).encode() for one in results if one.drawn}
    if traces:  # first, because the page leads there
        within = next(iter(traces)).parent
        named = {path.name: data for path, data in traces.items()}
        write_together(folder / within, named, option="--output")
    write_together(folder, files, option="--output")


def _free(name: str) -> Path:
    """A folder of that name, or with a number behind it, that is not there yet."""
    number, path = 1, Path(name)
    while path.exists():
        number += 1
        path = Path(f"{name}-{number}")
    return path


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind the stack once, so that devices end and what is done is told."""

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: do not disturb the cleanup
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
