"""The command from checked arguments to files written.

arguments ─► graph ─► devices ─► decide: how many, where, on which ─► compile the best cut
                                          │                                    │
                                      progress              try, verify ─► write ─► report
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compiler import Graph, graph_from_bytes, parameter_count_cuts, segment_stem
from compiler.compile import check_quantized
from compiler.reading import read_source
from devices.device import Device, Tensor
from devices.errors import ConfigError
from devices.files import write_all
from devices.simulated import description_of
from partitioner.command.acceptance import accept, items_to_verify
from partitioner.command.arguments import Arguments
from partitioner.command.decide import Decider, Decision
from partitioner.command.open_compiler import open_compiler
from partitioner.command.output_directory import check_place, usable_directory
from partitioner.command.patience import undisturbed
from partitioner.command.profiling_devices import left_out, profiling_pool, usable_devices
from partitioner.measuring import (
    SegmentCompiler,
    SegmentFiles,
    StopSign,
    TrialRun,
    placement,
    stage_devices,
)
from partitioner.problem import Partition
from partitioner.reporting import (
    Progress,
    Report,
    SweepReport,
    as_json,
    as_table,
    numbers_in_file,
    partition_page,
    sweep_json,
    sweep_page,
    sweep_text,
)
from partitioner.scratch import own_scratch

_PROMISE = 0.9
"""Share of the throughput its bottleneck allows below which a pipeline is worth a warning."""


@dataclass(frozen=True)
class Told:
    """What the command has to say: the report, as asked for, and a sentence on where files are.

    ``met``: whether a plan meets the target; if none does, nothing was written.
    """

    report: str
    closing: str
    met: bool = True


@dataclass(frozen=True)
class _Case:
    """A model and what it is measured with.  ``data`` is its file, ``name`` and ``stem`` its names
    to users and in files."""

    arguments: Arguments
    data: bytes
    name: str
    stem: str
    graph: Graph
    compiler: SegmentCompiler
    devices: Sequence[Device]
    left_out: tuple[str, ...]
    decider: Decider

    def circumstances(self, *warnings: str) -> dict[str, Any]:
        """What every report tells of them; ``warnings`` come behind those of all reports."""
        return {
            "model": self.name,
            "model_sha256": hashlib.sha256(self.data).hexdigest(),
            "compiler": self.compiler.name,
            "devices": tuple(description_of(device) for device in self.devices),
            "options": _options_of(self.arguments),
            "warnings": (*self.left_out, *self.decider.warnings, *warnings),
            "lost_devices": self.decider.lost_devices,
            "numbers_in_file": numbers_in_file(self.graph),
        }


def run(arguments: Arguments) -> Told:
    """Do what the arguments ask and write what comes of it: everything, or nothing.

    Progress goes to the error stream.  Raises ``EdgeTpuError``, whose text is for the user.
    """
    data, name, stem = read_source(arguments.model_path)
    graph = graph_from_bytes(data, name, stem=stem)
    check_quantized(graph)
    if isinstance(arguments.num_segments, int):
        parameter_count_cuts(graph, arguments.num_segments)  # before devices are started
    items = items_to_verify(arguments, graph)
    with usable_directory(arguments.output_dir) as directory:
        if arguments.report is not None:
            check_place("report", arguments.report)
        with contextlib.ExitStack() as stack:
            stack.enter_context(own_scratch())
            pool = stack.enter_context(profiling_pool(arguments))
            devices = usable_devices(arguments, pool)
            stop = StopSign()
            compiler = stack.enter_context(open_compiler(arguments, graph, devices, stop))
            progress = None
            if not arguments.quiet:
                progress = Progress(sys.stderr, live=sys.stderr.isatty())
                stack.callback(progress.close)
            decider = Decider(arguments, graph, compiler, devices, progress, stop)
            decision = decider.decide()
            others = left_out(arguments, pool, devices)
            case = _Case(arguments, data, name, stem, graph, compiler, devices, others, decider)
            if decision.recommendation is not None and not decision.recommendation.met:
                return _unmet(case, decision)
            if decision.partition is None:
                told, files, page = _sweep(case, decision)
            else:
                told, files, page = _partition(case, decision, decision.partition, items)
            groups = {"output_dir": (directory, files)}
            if arguments.report is not None:
                report = arguments.report
                groups["report"] = report.parent, {report.name: page().encode()}
        write_all(groups, undisturbed=undisturbed())
    return told


_Files = dict[str, bytes]
"""What is to be written into the output directory, by name."""

_Page = Callable[[], str]
"""The report as HTML, made if it is wanted."""


def _sweep_report(case: _Case, decision: Decision) -> SweepReport:
    assert decision.sweep is not None, "numbers of TPUs were compared"
    assert decision.recommendation is not None, "numbers of TPUs were compared"
    return SweepReport(
        **case.circumstances(),
        sweep=decision.sweep,
        recommendation=decision.recommendation,
        measurements=case.decider.measurements,
    )


def _unmet(case: _Case, decision: Decision) -> Told:
    """What there is to say where no plan meets the target."""
    report = _sweep_report(case, decision)
    return Told(
        sweep_json(report) if case.arguments.json else sweep_text(report) + "\n",
        "Nothing was written, since no plan meets the target.",
        met=False,
    )


def _sweep(case: _Case, decision: Decision) -> tuple[Told, _Files, _Page]:
    """What there is to say where numbers of TPUs were compared, and ``sweep.json``."""
    report = _sweep_report(case, decision)
    text = sweep_json(report)
    place = case.arguments.output_dir / "sweep.json"
    told = Told(
        text if case.arguments.json else sweep_text(report) + "\n",
        f"The comparison has been saved as {place}{_recalled(case.decider)}",
    )
    return told, {place.name: text.encode()}, lambda: sweep_page(report)


def _partition(
    case: _Case,
    decision: Decision,
    partition: Partition,
    items: Sequence[Mapping[str, Tensor]],
) -> tuple[Told, _Files, _Page]:
    """Compile the segments once more under their final names, and try them."""
    arguments, graph, decider = case.arguments, case.graph, case.decider
    assert decision.problem is not None, "a partition answers a problem"
    count = len(partition.segments)
    stems = [segment_stem(case.stem, index, count) for index in range(count)]
    segments = [
        case.compiler.compile(segment, stem)
        for segment, stem in zip(partition.runs, stems, strict=True)
    ]
    stages = stage_devices(decision.kinds, decider.usable(case.devices))
    accepted = accept(arguments, graph, case.data, case.compiler, segments, stages, items)
    report = Report(
        **case.circumstances(*_slower_than_promised(partition, accepted.trial)),
        problem=decision.problem,
        partition=partition,
        trial=accepted.trial,
        verification=accepted.verification,
        files=tuple(f"{stem}_edgetpu.tflite" for stem in stems),
        placement=placement(decision.kinds, stages) if decider.unequal else (),
        measurements=decision.measurements,
        confidence=decision.confidence,
        sweep=decision.sweep,
        recommendation=decision.recommendation,
    )
    told = Told(
        as_json(report) if arguments.json else as_table(report) + "\n",
        f"Segments have been saved under {arguments.output_dir}{_recalled(decider)}",
    )
    files = _files_of(arguments.output_dir, stems, segments, report)
    return told, files, lambda: partition_page(report, graph)


def _recalled(decider: Decider) -> str:
    """How many measurements the command owes to an earlier run, for the closing line."""
    if not decider.recalled:
        return ""
    return f" ({decider.recalled} measured by an earlier run; --no-cache measures anew)"


def _slower_than_promised(partition: Partition, trial: TrialRun | None) -> list[str]:
    """A warning where the finished pipeline does not reach what its segments allow."""
    if trial is None or trial.throughput * partition.bottleneck_ns >= _PROMISE * 1e9:
        return []
    return [
        f"the finished pipeline reached {trial.throughput:.1f} inferences/s, although its "
        f"bottleneck allows {1e9 / partition.bottleneck_ns:.1f}: a device is slower than those "
        "that were measured on, a link or host that devices share is full, or this machine holds "
        "it up."
    ]


def _options_of(arguments: Arguments) -> dict[str, object]:
    """The options that decide the result, for the report."""
    left_out = {"model_path", "num_segments", "output_dir", "json", "quiet", "report"}
    return {
        key: str(value) if isinstance(value, Path) else value
        for key, value in asdict(arguments).items()
        if key not in left_out
    }


def _files_of(
    directory: Path, stems: Sequence[str], segments: Sequence[SegmentFiles], report: Report
) -> _Files:
    """All that is written of segments, none of it over the model.  Raises ``ConfigError``."""
    files: _Files = {}
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
    return files
