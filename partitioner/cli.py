"""The command ``partition-with-profiling``.

arguments ─► graph ─► problem ─► search, measuring on devices ─► compile the best cut
                                                  │                      │
                                              progress      verify ─► write ─► report
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from compiler import Graph, graph_from_bytes, segment_stem
from compiler.compile import check_quantized
from compiler.output import write_together
from compiler.source import read_source
from devices.device import Device, Tensor
from devices.errors import ConfigError, DeviceError, EdgeTpuError, ModelError
from partitioner.arguments import Arguments, parse, parser
from partitioner.compilers import BuiltInCompiler, ExternalCompiler, SegmentCompiler, SegmentFiles
from partitioner.input_file import read_input
from partitioner.output_directory import usable_directory
from partitioner.planning import problem_of
from partitioner.problem import NoFeasiblePartition, Partition
from partitioner.profile import DeviceProfiler, random_tensors
from partitioner.profiling_devices import profiling_pool
from partitioner.progress import Progress
from partitioner.report import Report, as_json, as_table
from partitioner.strategies import STRATEGIES
from partitioner.strategy import OnRound, SearchOptions, ignore_round
from partitioner.trial_run import TrialRun, try_pipeline
from partitioner.verify import input_specs, verify_chain

_LOGGER = logging.getLogger(__name__)

_BAD_INPUT = 2
_INTERRUPTED = 130
_VERIFIED_ITEMS = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        if arguments is None:
            parser().print_help()
            return 0
        _run(arguments)
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _run(arguments: Arguments) -> None:
    started = time.monotonic()
    data, name, stem = read_source(arguments.model_path)
    graph = graph_from_bytes(data, name, stem=stem)
    check_quantized(graph)
    problem = problem_of(
        graph,
        arguments.num_segments,
        partition_search_step=arguments.partition_search_step,
        start_cuts=arguments.cuts,
    )
    items = _items(graph, arguments.input) if arguments.verify else []
    compiler = _compiler(arguments, graph)
    with contextlib.ExitStack() as stack:
        stack.enter_context(usable_directory(arguments.output_dir))
        pool = stack.enter_context(profiling_pool(arguments))
        on_round: OnRound = ignore_round
        if not arguments.quiet:
            progress = Progress(sys.stderr, live=sys.stderr.isatty())
            stack.callback(progress.close)
            on_round = progress
        profiler = DeviceProfiler(compiler, pool.devices)
        options = SearchOptions(
            diff_threshold_ns=arguments.diff_threshold_ns,
            target_ns=arguments.initial_lower_bound_ns,
            ceiling_ns=arguments.initial_upper_bound_ns,
            max_measurements=arguments.max_measurements,
            timeout_s=arguments.timeout_sec,
            baseline=True,
        )
        try:
            partition = STRATEGIES[arguments.strategy](problem, profiler, options, on_round)
        except NoFeasiblePartition as error:
            raise _explained(error, name, profiler) from error
        (whole_ns,) = profiler.measure([(0, len(graph))])
        stems = [
            segment_stem(stem, index, arguments.num_segments)
            for index in range(arguments.num_segments)
        ]
        segments = _compile(compiler, partition, stems)
        with tempfile.TemporaryDirectory(prefix="partition-") as scratch:
            paths = [Path(scratch) / f"segment_{i}_edgetpu.tflite" for i in range(len(segments))]
            for path, segment in zip(paths, segments, strict=True):
                path.write_bytes(segment.executable)
            living = [d for d in pool.devices if d.name not in profiler.lost_devices]
            trial = _try(paths, living, random_tensors(input_specs(graph), 0))
            verification = "not compared, as asked"
            if arguments.verify:
                verification = _verify(graph, data, paths, items)
        report = Report(
            model=name,
            model_sha256=hashlib.sha256(data).hexdigest(),
            num_operators=len(graph),
            compiler=compiler.name,
            devices=tuple({"name": device.name, "link": device.link} for device in pool.devices),
            options=_options_of(arguments),
            partition=partition,
            whole_model_ns=whole_ns,
            trial=trial,
            verification=verification,
            files=tuple(f"{stem}_edgetpu.tflite" for stem in stems),
        )
        _write(arguments.output_dir, stems, segments, report)
    seconds = time.monotonic() - started
    closing = f"Segments have been saved under {arguments.output_dir}\nTotal time: {seconds:.1f}s."
    if arguments.json:
        sys.stdout.write(as_json(report))
        if not arguments.quiet:
            print(closing, file=sys.stderr)
    else:
        print(f"{as_table(report)}\n\n{closing}")


def _compiler(arguments: Arguments, graph: Graph) -> SegmentCompiler:
    step = arguments.delegate_search_step
    if arguments.edgetpu_compiler_binary is None:
        return BuiltInCompiler(graph, delegate_search_step=step)
    return ExternalCompiler(arguments.edgetpu_compiler_binary, graph, delegate_search_step=step)


def _explained(
    error: NoFeasiblePartition, name: str, profiler: DeviceProfiler
) -> NoFeasiblePartition:
    """The same with the model's name and the first reason a compiler gave."""
    reasons = list(profiler.failures.values())
    first = f"; the first failure: {reasons[0]}" if reasons else ""
    return NoFeasiblePartition(f"{name} cannot be partitioned: {error}{first}")


def _compile(
    compiler: SegmentCompiler, partition: Partition, stems: Sequence[str]
) -> list[SegmentFiles]:
    """The best cut's segments once more, under their final names."""
    return [
        compiler.compile(profile.segment.first, profile.segment.end, stem)
        for profile, stem in zip(partition.segments, stems, strict=True)
    ]


def _try(
    executables: Sequence[Path], devices: Sequence[Device], inputs: Mapping[str, Tensor]
) -> TrialRun | None:
    """The finished pipeline's rate; ``None`` if the devices are too few or fail on the way.

    The cut is measured by then, and is not to be lost for the sake of one more figure.
    """
    if len(devices) < len(executables):
        return None
    try:
        return try_pipeline(executables, devices, inputs)
    except DeviceError as error:
        _LOGGER.warning("the finished pipeline could not be run: %s", error)
        return None


def _items(graph: Graph, given: Path | None) -> list[dict[str, Tensor]]:
    """What to verify with: seeded noise, and the user's file as the first input of the first."""
    specs = input_specs(graph)
    items = [random_tensors(specs, seed) for seed in range(_VERIFIED_ITEMS)]
    if given is not None:
        items[0][specs[0].name] = read_input(given, specs[0])
    return items


def _verify(
    graph: Graph, data: bytes, executables: Sequence[Path], items: Sequence[Mapping[str, Tensor]]
) -> str:
    """Whether the chain computes the uncut model's numbers, as the report says it.

    Raises ``ModelError`` if it does not; a model that LiteRT cannot compute is not held against
    its segments.
    """
    try:
        with _silent_libraries():
            result = verify_chain(graph, executables, items, model=data)
    except DeviceError as error:
        return f"not compared, {error}"
    if not result.passed:
        raise ModelError(
            f"{graph.name}: the segments compute {result.different} of {result.compared} output "
            f"values differently from the uncut model, first in {result.first_output}; nothing "
            "was written, try another number of segments or report this."
        )
    return f"yes ({result.items} items, {result.compared} values, bit for bit)"


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Keep what LiteRT writes to the error stream behind Python's back off the terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _options_of(arguments: Arguments) -> dict[str, object]:
    """The options that decide the result, for the report."""
    left_out = {"model_path", "num_segments", "output_dir", "json", "quiet"}
    return {
        key: str(value) if isinstance(value, Path) else value
        for key, value in asdict(arguments).items()
        if key not in left_out
    }


def _write(
    directory: Path, stems: Sequence[str], segments: Sequence[SegmentFiles], report: Report
) -> None:
    files: dict[str, bytes] = {}
    for stem, segment in zip(stems, segments, strict=True):
        files[f"{stem}.tflite"] = segment.model
        files[f"{stem}_edgetpu.tflite"] = segment.executable
        files[f"{stem}_edgetpu.log"] = segment.log.encode()
    files["partition.json"] = as_json(report).encode()
    source = Path(report.model)
    if any((directory / name).resolve() == source.resolve() for name in files):
        raise ConfigError(
            f"output_dir {directory} holds the model {report.model} under a name that a segment "
            "would take; give another directory."
        )
    write_together(directory, files)


if __name__ == "__main__":
    sys.exit(main())
