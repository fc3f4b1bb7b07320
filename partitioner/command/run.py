"""What the command does, from options to files.

::

    options ─► graph ─► devices ─► decide: how many, where, on which ─► compile the best cut
                                       │                                    │
                                   progress              try, compare ─► write ─► report
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compiler import graph_from_bytes, parameter_count_cuts, segment_stem
from compiler.compile import check_quantized
from compiler.reading import read_source
from devices.device import Device, Tensor
from devices.errors import ConfigError, DeviceError
from devices.files import write_together
from partitioner.command.arguments import Arguments
from partitioner.command.comparison import compare, compare_on_devices, inputs_to_compare
from partitioner.command.decide import Decider, Decision
from partitioner.command.open_compiler import open_compiler
from partitioner.command.output_directory import usable_directory
from partitioner.command.pending_file import PendingFile
from partitioner.command.profiling_devices import profiling_pool, usable_devices
from partitioner.measuring import (
    SegmentCompiler,
    SegmentFiles,
    TrialRun,
    input_specs,
    placement,
    random_tensors,
    stage_devices,
    try_pipeline,
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


_PROMISE = 0.9
"""Share of the throughput its bottleneck allows below which a pipeline is worth a warning."""


def run(arguments: Arguments) -> None:
    """Do what the options ask and print the result.

    Raises :class:`~devices.errors.EdgeTpuError` for anything that the user has to change; nothing
    is left half-written then.
    """
    started = time.monotonic()
    data, name, stem = read_source(arguments.model_path)
    graph = graph_from_bytes(data, name, stem=stem)
    check_quantized(graph)
    if isinstance(arguments.num_segments, int):
        parameter_count_cuts(graph, arguments.num_segments)  # before devices are started
    items = inputs_to_compare(graph, arguments.input) if arguments.verify else []
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
                    verification = compare_on_devices(graph, whole, paths, stages, items)
                elif arguments.verify:
                    verification = compare(graph, data, paths, items)
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
