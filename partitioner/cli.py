"""The command ``partition-with-profiling``.

arguments ─► graph ─► devices ─► decide: how many, where, on which ─► compile the best cut
                                          │                                    │
                                      progress              try, verify ─► write ─► report
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from compiler import Graph, graph_from_bytes, parameter_count_cuts, segment_stem
from compiler.compile import check_quantized
from compiler.reading import read_source
from devices.device import Device, Tensor
from devices.errors import ConfigError, DeviceError, EdgeTpuError, ModelError
from devices.files import write_together
from partitioner.command import (
    Arguments,
    Decider,
    Decision,
    PendingFile,
    open_compiler,
    parse,
    parser,
    profiling_pool,
    read_input,
    usable_devices,
    usable_directory,
)
from partitioner.measuring import (
    SegmentCompiler,
    SegmentFiles,
    TrialRun,
    Verification,
    input_specs,
    placement,
    random_tensors,
    stage_devices,
    try_pipeline,
    verify_chain,
    verify_on_devices,
)
from partitioner.problem import Partition
from partitioner.reporting import (
    Progress,
    Report,
    SweepReport,
    as_json,
    as_table,
    partition_page,
    sweep_json,
    sweep_page,
    sweep_text,
)

_LOGGER = logging.getLogger(__name__)

_BAD_INPUT = 2
_INTERRUPTED = 130
_TERMINATED = 143
_VERIFIED_ITEMS = 4

_PROMISE = 0.9
"""Share of the throughput its bottleneck allows below which a pipeline is worth a warning."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM arrived: leave as Ctrl-C does, but say so in the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        if arguments is None:
            parser().print_help()
            return 0
        with _sigterm_raises():
            _run(arguments)
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except _Terminated:
        print("Terminated; nothing was written.", file=sys.stderr)
        return _TERMINATED
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return _INTERRUPTED
    return 0


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind the stack once, so that devices end and files are taken back."""

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


def _run(arguments: Arguments) -> None:
    started = time.monotonic()
    data, name, stem = read_source(arguments.model_path)
    graph = graph_from_bytes(data, name, stem=stem)
    check_quantized(graph)
    if isinstance(arguments.num_segments, int):
        parameter_count_cuts(graph, arguments.num_segments)  # before devices are started
    items = _items(graph, arguments.input) if arguments.verify else []
    with contextlib.ExitStack() as stack:
        stack.enter_context(usable_directory(arguments.output_dir))
        page = stack.enter_context(PendingFile.at("report", arguments.report))
        pool = stack.enter_context(profiling_pool(arguments))
        devices = usable_devices(arguments, pool)
        compiler = stack.enter_context(open_compiler(arguments, graph, devices))
        progress = None
        if not arguments.quiet:
            progress = Progress(sys.stderr, live=sys.stderr.isatty())
            stack.callback(progress.close)
        decider = Decider(arguments, graph, compiler, devices, progress)
        decision = decider.decide()
        facts = _facts(arguments, name, data, compiler, devices)
        if decision.partition is None:
            text = _write_sweep(arguments, facts, decision, decider, page)
            closing = f"The comparison has been saved as {arguments.output_dir / 'sweep.json'}"
        else:
            partition = decision.partition
            count = len(partition.segments)
            stems = [segment_stem(stem, index, count) for index in range(count)]
            segments = _compile(compiler, partition, stems)
            stages = stage_devices(decision.kinds, decider.usable(devices))
            with tempfile.TemporaryDirectory(prefix="partition-") as scratch:
                paths = [Path(scratch) / f"segment_{i}_edgetpu.tflite" for i in range(count)]
                for path, segment in zip(paths, segments, strict=True):
                    path.write_bytes(segment.executable)
                trial = _try(paths, stages, random_tensors(input_specs(graph), 0))
                verification = "not compared, as asked"
                if arguments.verify and arguments.real:
                    whole = Path(scratch) / "whole_edgetpu.tflite"
                    whole.write_bytes(compiler.compile((0, len(graph)), "whole").executable)
                    verification = _verify_real(graph, whole, paths, stages, items)
                elif arguments.verify:
                    verification = _verify(graph, data, paths, items)
            report = Report(
                **facts,
                num_operators=len(graph),
                partition=partition,
                whole_model_ns=decision.whole_model_ns,
                trial=trial,
                verification=verification,
                files=tuple(f"{stem}_edgetpu.tflite" for stem in stems),
                placement=placement(decision.kinds, stages) if decider.unequal else (),
                measurements=decision.measurements,
                confidence=decision.confidence,
                warnings=(*decider.warnings, *_slower_than_promised(partition, trial)),
                lost_devices=decider.lost_devices,
                sweep=decision.sweep,
                recommendation=decision.recommendation,
            )
            page.fill(lambda: partition_page(report, graph))
            _write(arguments.output_dir, stems, segments, report)
            text = as_json(report) if arguments.json else as_table(report) + "\n"
            closing = f"Segments have been saved under {arguments.output_dir}"
        page.publish()
    closing += f"\nTotal time: {time.monotonic() - started:.1f}s."
    if arguments.json:
        sys.stdout.write(text)
        if not arguments.quiet:
            print(closing, file=sys.stderr)
    else:
        print(f"{text}\n{closing}")


def _facts(
    arguments: Arguments,
    name: str,
    data: bytes,
    compiler: SegmentCompiler,
    devices: Sequence[Device],
) -> dict[str, Any]:
    """The circumstances that every report tells."""
    return {
        "model": name,
        "model_sha256": hashlib.sha256(data).hexdigest(),
        "compiler": compiler.name,
        "devices": tuple({"name": device.name, "link": device.link} for device in devices),
        "options": _options_of(arguments),
    }


def _write_sweep(
    arguments: Arguments,
    facts: Mapping[str, Any],
    decision: Decision,
    decider: Decider,
    page: PendingFile,
) -> str:
    """Write ``sweep.json``; returns what to print."""
    assert decision.sweep is not None, "numbers of TPUs were compared"
    assert decision.recommendation is not None, "numbers of TPUs were compared"
    report = SweepReport(
        **facts,
        sweep=decision.sweep,
        recommendation=decision.recommendation,
        measurements=decider.measurements,
        warnings=decider.warnings,
        lost_devices=decider.lost_devices,
    )
    page.fill(lambda: sweep_page(report))
    text = sweep_json(report)
    write_together(arguments.output_dir, {"sweep.json": text.encode()}, option="output_dir")
    return text if arguments.json else sweep_text(report) + "\n"


def _compile(
    compiler: SegmentCompiler, partition: Partition, stems: Sequence[str]
) -> list[SegmentFiles]:
    """The best cut's segments once more, under their final names."""
    return [
        compiler.compile(segment, stem) for segment, stem in zip(partition.runs, stems, strict=True)
    ]


def _try(
    executables: Sequence[Path], devices: Sequence[Device], inputs: Mapping[str, Tensor]
) -> TrialRun | None:
    """The finished pipeline's rate; ``None`` if the devices are too few or fail on the way.

    The cut is measured by then, and is not to be lost for the sake of one more figure.
    """
    if len(devices) < len(executables) or not executables:
        return None
    try:
        return try_pipeline(executables, devices, inputs)
    except DeviceError as error:
        _LOGGER.warning("the finished pipeline could not be run: %s", error)
        return None


def _slower_than_promised(partition: Partition, trial: TrialRun | None) -> list[str]:
    """A warning where the finished pipeline does not reach what its segments allow."""
    if trial is None or trial.throughput * partition.bottleneck_ns >= _PROMISE * 1e9:
        return []
    return [
        f"the finished pipeline reached {trial.throughput:.1f} inferences/s, although its "
        f"bottleneck allows {1e9 / partition.bottleneck_ns:.1f}: a device is slower than those "
        "that were measured on, or the host holds it up."
    ]


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
    return _judged(graph, result)


def _verify_real(
    graph: Graph,
    whole: Path,
    executables: Sequence[Path],
    devices: Sequence[Device],
    items: Sequence[Mapping[str, Tensor]],
) -> str:
    """The same on real devices, against the uncut model on the first of them.

    Against LiteRT single-step differences would be normal: the chip rounds in its own way.
    """
    if len(devices) < len(executables):
        return "not compared, there are fewer devices than segments"
    try:
        result = verify_on_devices(graph, whole, executables, devices, items)
    except DeviceError as error:
        return f"not compared, {error}"
    return _judged(graph, result)


def _judged(graph: Graph, result: Verification) -> str:
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
    left_out = {"model_path", "num_segments", "output_dir", "json", "quiet", "report"}
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
    write_together(directory, files, option="output_dir")


if __name__ == "__main__":
    sys.exit(main())
