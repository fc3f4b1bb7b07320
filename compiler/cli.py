"""The ``edgetpu_compiler`` command: Coral's, with its options, file names and messages."""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from compiler.compile import (
    DEFAULT_RUNTIME_VERSION,
    CompiledSegment,
    CompileOptions,
    compile_segments,
    compile_together,
)
from compiler.cutting import parameter_count_cuts, segment_stem
from compiler.graph import Graph
from compiler.log import OutputNames, operation_log, operation_table, summary, version_line
from compiler.reading import read_graph
from devices.errors import ConfigError, EdgeTpuError, ModelError
from devices.files import write_together

_BAD_INPUT = 2
_INTERNAL_ERROR = 1
_INTERRUPTED = 130
_LONGEST_TIMER_SEC = 1e9  # the operating system refuses timers that outlast it

_HELP = """\
Compile quantised TensorFlow Lite models for the Edge TPU.

Each MODEL is the path of a .tflite file, or zoo:NAME for a model built on the spot.  The result is
MODEL_edgetpu.tflite, with a log that says of each operation where it runs and why.

  one model       edgetpu_compiler model.tflite
  a pipeline      edgetpu_compiler --num_segments 4 model.tflite
                  cuts it into 4 segments of about equal parameter size, one per Edge TPU;
                  partition-with-profiling balances their time instead
  several models  edgetpu_compiler often_used.tflite seldom_used.tflite
                  on one Edge TPU: they share its parameter memory, the first one served first

Long options take dashes or underscores and may be given as --name value or --name=value."""

_EPILOG = """\
Parameters that do not fit in the chip's memory are streamed at every inference, which is slow:
"Off-chip memory used" should be 0.00B.  If it is not, cut the model into more segments.
Exit code 0 on success, 2 when a model or an option is not usable; then nothing is written."""


class _Parser(argparse.ArgumentParser):
    """Complains in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see edgetpu_compiler --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="edgetpu_compiler",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help="model to compile; several are co-compiled")
    add("-h", "--help", action="store_true", help="print this help and exit")
    add(
        "-i",
        "--intermediate_tensors",
        metavar="NAMES",
        help="comma-separated tensors to end the Edge TPU's part with: everything that follows "
        "them stays on the CPU; with several models, one list per model, separated by colons",
    )
    add(
        "-m",
        "--min_runtime_version",
        metavar="NUM",
        default=str(DEFAULT_RUNTIME_VERSION),
        help="oldest Edge TPU runtime that must be able to run the result; operations that need a "
        "newer one stay on the CPU (default %(default)s)",
    )
    add(
        "-n",
        "--num_segments",
        metavar="NUM",
        default="1",
        help="compile into this many segments, to be pipelined over as many Edge TPUs (default 1)",
    )
    add("-o", "--out_dir", metavar="DIR", default=".", help="where to write (default: here)")
    add(
        "-s",
        "--show_operations",
        action="store_true",
        help="also print the operation log, which is always written beside the model",
    )
    add(
        "-d",
        "--search_delegate",
        action="store_true",
        help="search for a front part of the model that compiles; accepted for compatibility: this "
        "compiler maps what is supported and nothing else, so its first try succeeds",
    )
    add(
        "-k",
        "--delegate_search_step",
        metavar="NUM",
        default="1",
        help="operations to give up per try of --search_delegate (default 1)",
    )
    add(
        "-t",
        "--timeout_sec",
        metavar="NUM",
        default="180",
        help="give up after this many seconds (default 180)",
    )
    add("-v", "--version", action="store_true", help="print the compiler's version and exit")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return _INTERRUPTED
    except Exception as error:
        # A mistake of ours, not of the user's; he still gets one line, as with Coral's compiler.
        reason = f"{type(error).__name__}: {error}"
        print(f"Internal compiler error. Aborting! ({reason})", file=sys.stderr)
        return _INTERNAL_ERROR


def _run(arguments: Sequence[str]) -> int:
    parser = _parser()
    parsed = parser.parse_args(_spelled_out(parser, arguments))
    if parsed.help:
        parser.print_help()
        return 0
    if parsed.version:
        print(version_line())
        return 0
    if not parsed.models:
        raise ConfigError("No model was given; name a .tflite file, see edgetpu_compiler --help.")
    options = CompileOptions(
        min_runtime_version=_whole_number(parsed, "min_runtime_version"),
        search_delegate=parsed.search_delegate,
        delegate_search_step=_whole_number(parsed, "delegate_search_step"),
        timeout_sec=_number(parsed, "timeout_sec"),
    )
    num_segments = _whole_number(parsed, "num_segments")
    stops = _stop_lists(parsed.intermediate_tensors, len(parsed.models))
    _refuse_combinations(parsed, num_segments)

    print(version_line())
    print(f"Started a compilation timeout timer of {options.timeout_sec:g} seconds.")
    if any(stops):
        print(f"Intermediate tensors: {', '.join(name for names in stops for name in names)}")
    with _time_limit(options.timeout_sec):
        started = time.perf_counter()
        graphs = [read_graph(model) for model in parsed.models]
        if options.search_delegate:
            print(f"Searching for valid delegate with step {options.delegate_search_step}")
            print(f"Try to compile segment with {len(graphs[0])} ops")
        stems, compiled = _compile(graphs, num_segments, options, stops)
        duration_ms = (time.perf_counter() - started) * 1e3
        names = _output_names(parsed.models, stems)
        files: dict[str, bytes] = {}
        for segment, name in zip(compiled, names, strict=True):
            files[name.output_model] = segment.data
            files[name.log] = operation_log(segment.report, name).encode()
        out_dir = Path(parsed.out_dir)
        _spare_the_inputs(parsed.models, out_dir, files)
        write_together(out_dir, files)

    print(f"\nModel compiled successfully in {duration_ms:.0f} ms.")
    for segment, name in zip(compiled, names, strict=True):
        shown = replace(
            name,
            output_model=str(out_dir / name.output_model),
            log=str(out_dir / name.log),
        )
        print(f"\n{summary(segment.report, shown)}")
        if parsed.show_operations:
            print(f"\n{operation_table(segment.report.operators)}")
        else:
            print("See the operation log file for individual operation details.")
    print("Compilation child process completed within timeout period.")
    print("Compilation succeeded!")
    return 0


def _spelled_out(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Long options in their one spelling: ``--out-dir``, ``-out_dir`` become ``--out_dir``."""
    known = {name for action in parser._actions for name in action.option_strings}
    result: list[str] = []
    for place, argument in enumerate(arguments):
        if argument == "--":
            return [*result, *arguments[place:]]
        match = re.fullmatch(r"--?([a-z][a-z_-]+)(=.*)?", argument, re.DOTALL)
        name = "" if match is None else f"--{match[1].replace('-', '_')}"
        result.append(f"{name}{match[2] or ''}" if match and name in known else argument)
    return result


def _whole_number(parsed: argparse.Namespace, option: str) -> int:
    text = getattr(parsed, option)
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}, a whole number is needed.") from None


def _number(parsed: argparse.Namespace, option: str) -> float:
    text = getattr(parsed, option)
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}, a number is needed.") from None


def _stop_lists(text: str | None, model_count: int) -> list[tuple[str, ...]]:
    """Tensor names per model.  For a single model a colon may be part of a name."""
    if text is None:
        return [()] * model_count
    lists = [text] if model_count == 1 else text.split(":")
    if len(lists) != model_count:
        raise ConfigError(
            f"intermediate_tensors has {len(lists)} lists separated by colons, but there are "
            f"{model_count} models; give one list for each."
        )
    names = [tuple(name.strip() for name in part.split(",") if name.strip()) for part in lists]
    if not any(names):
        raise ConfigError("intermediate_tensors is empty; name at least one tensor.")
    return names


def _refuse_combinations(parsed: argparse.Namespace, num_segments: int) -> None:
    if num_segments != 1 and len(parsed.models) > 1:
        raise ConfigError(
            "num_segments cannot be used with several models; compile one model at a time."
        )
    if num_segments != 1 and parsed.intermediate_tensors is not None:
        raise ConfigError("num_segments cannot be combined with intermediate_tensors; drop one.")
    if parsed.search_delegate and len(parsed.models) > 1:
        raise ConfigError(
            "search_delegate cannot be used with several models; compile one model at a time."
        )


def _compile(
    graphs: Sequence[Graph],
    num_segments: int,
    options: CompileOptions,
    stops: Sequence[tuple[str, ...]],
) -> tuple[list[str], tuple[CompiledSegment, ...]]:
    """Output stems and executables."""
    if num_segments != 1:
        (graph,) = graphs
        cuts = parameter_count_cuts(graph, num_segments)
        stems = [segment_stem(graph.stem, i, num_segments) for i in range(num_segments)]
        return stems, compile_segments(graph, cuts, options)
    jobs = [
        (graph, replace(options, intermediate_tensors=names))
        for graph, names in zip(graphs, stops, strict=True)
    ]
    return [graph.stem for graph in graphs], compile_together(jobs)


def _output_names(models: Sequence[str], stems: Sequence[str]) -> list[OutputNames]:
    """File names of the outputs; one model may have many stems (its segments)."""
    inputs = models if len(models) == len(stems) else [models[0]] * len(stems)
    repeated = [stem for stem in stems if stems.count(stem) > 1]
    if repeated:
        raise ConfigError(
            f"Two models would both be written to {repeated[0]}_edgetpu.tflite; rename one."
        )
    return [
        OutputNames(model, f"{stem}_edgetpu.tflite", f"{stem}_edgetpu.log")
        for model, stem in zip(inputs, stems, strict=True)
    ]


def _spare_the_inputs(models: Sequence[str], out_dir: Path, files: Iterable[str]) -> None:
    """Never write over a model that was read."""
    sources = {Path(model).resolve() for model in models}
    for name in files:
        if (out_dir / name).resolve() in sources:
            raise ConfigError(
                f"Compiling would write over the input {out_dir / name}; "
                "choose another out_dir or rename it."
            )


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise ``ModelError`` in the main thread when the block takes longer."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return

    def expired(signal_number: int, frame: object) -> None:
        raise ModelError(
            f"Compilation failed: it took longer than timeout_sec = {seconds:g}; allow more time."
        )

    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, min(max(seconds, 1e-6), _LONGEST_TIMER_SEC))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


if __name__ == "__main__":
    sys.exit(main())
