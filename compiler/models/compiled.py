"""A whole model, compiled: what the command writes and programs get.

compile_file(path, options) ─► CompiledModel ─► save(), report, reasons, segments
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compiler.compile import compile_parts, compile_together
from compiler.cutting import parameter_count_parts, parts_at, segment_stem
from compiler.deadline import Deadline
from compiler.executables import CompiledSegment, CompileReport, OperatorReport
from compiler.graph import Graph
from compiler.log import OutputNames, operation_log
from compiler.options import CompileOptions
from compiler.reading import read_graph
from compiler.reasons import reasons
from devices.errors import ConfigError
from devices.files import write_together

_SUFFIX = ".tflite"


@dataclass(frozen=True)
class CompiledModel:
    """The executables of one model, in memory.

    ``name`` is the model as it was asked for; ``segments`` has one executable, or one for each
    segment, in the order in which they run, and ``stems`` the names of their files, without
    ``_edgetpu`` and suffix.
    """

    name: str
    stems: tuple[str, ...]
    segments: tuple[CompiledSegment, ...]

    @property
    def report(self) -> CompileReport:
        """What became of the model: sums over its segments, and all its operators in file order.

        ``input_bytes`` adds up the segments before they were compiled; for a model in one piece it
        is the size of its file.
        """
        if len(self.segments) == 1:
            return self.segments[0].report
        reports = [segment.report for segment in self.segments]
        details = sorted((one for report in reports for one in report.details), key=_index)
        return CompileReport(
            input_bytes=sum(report.input_bytes for report in reports),
            output_bytes=sum(report.output_bytes for report in reports),
            used_on_chip_bytes=sum(report.used_on_chip_bytes for report in reports),
            remaining_on_chip_bytes=sum(report.remaining_on_chip_bytes for report in reports),
            off_chip_bytes=sum(report.off_chip_bytes for report in reports),
            details=tuple(details),
            subgraphs=tuple(one for report in reports for one in report.subgraphs),
            folded=reports[0].folded,
        )

    @property
    def reasons(self) -> str:
        """Why operators were left to the CPU, as in the log; empty if none was."""
        return reasons(self.report)

    @property
    def names(self) -> tuple[OutputNames, ...]:
        """Names of the executables and logs, as ``edgetpu_compiler`` gives them."""
        return tuple(
            OutputNames(self.name, f"{stem}_edgetpu{_SUFFIX}", f"{stem}_edgetpu.log")
            for stem in self.stems
        )

    def files(self) -> dict[str, bytes]:
        """Contents of the executables and their logs, by name."""
        return _files(self.segments, self.names)

    def save(self, path: str | Path = ".") -> tuple[Path, ...]:
        """Write the executables, each with its log beside it, all or none; returns their paths.

        ``path`` is the name of the executable if it ends in ``.tflite``; else it is a directory,
        created if absent, in which they are called as ``edgetpu_compiler`` calls them.  Raises
        ``ConfigError`` when that cannot be written, would replace the model itself, or is one name
        for several segments.
        """
        directory, names = Path(path), self.names
        if directory.suffix == _SUFFIX and not directory.is_dir():
            if len(self.segments) > 1:
                raise ConfigError(
                    f"{path} is one file, but {self.name} was compiled into {len(self.segments)} "
                    "segments; name a directory for them."
                )
            own = directory.name
            names = (OutputNames(self.name, own, own.removesuffix(_SUFFIX) + ".log"),)
            directory = directory.parent
        files = _files(self.segments, names)
        spare_the_models([self.name], directory, files)
        write_together(directory, files, option="path")
        return tuple(directory / name.output_model for name in names)


def compile_file(path: str | Path, options: CompileOptions | None = None) -> CompiledModel:
    """Compile the model at ``path``, or ``zoo:NAME``, as ``edgetpu_compiler`` would.

    ``timeout_sec`` of the options covers reading and compiling, in any thread.  Nothing is written
    before ``save`` is called.  Raises ``ConfigError`` for options that do not fit the model and
    ``ModelError`` for a model that cannot be read or compiled, both with one sentence.
    """
    options = options or CompileOptions()
    deadline = Deadline(options.timeout_sec)
    graph = read_graph(path, deadline=deadline)
    return compile_model(graph, options, deadline=deadline)


def compile_model(
    graph: Graph, options: CompileOptions, *, deadline: Deadline | None = None
) -> CompiledModel:
    """The same for a model that was read."""
    deadline = deadline or Deadline(options.timeout_sec)
    parts = _parts(graph, options)
    whole = replace(options, num_segments=1, cut_at=(), order=None)
    if len(parts) == 1:
        segments = compile_together([(graph, whole)], deadline=deadline)
        return CompiledModel(graph.name, (graph.stem,), segments)
    stems = tuple(segment_stem(graph.stem, i, len(parts)) for i in range(len(parts)))
    return CompiledModel(graph.name, stems, compile_parts(graph, parts, whole, deadline=deadline))


def _parts(graph: Graph, options: CompileOptions) -> Sequence[Sequence[int]]:
    """The operators of each segment."""
    if options.cut_at:
        return parts_at(graph, options.cut_at, options.order or "file")
    return parameter_count_parts(graph, options.num_segments, options.order or "coral")


def spare_the_models(models: Iterable[str], directory: Path, files: Iterable[str]) -> None:
    """Raise ``ConfigError`` rather than write over a model that was read."""
    sources = {Path(model).resolve() for model in models}
    for name in files:
        if (directory / name).resolve() in sources:
            raise ConfigError(
                f"Compiling would write over the input {directory / name}; "
                "choose another directory, or rename it."
            )


def _files(segments: Sequence[CompiledSegment], names: Sequence[OutputNames]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for segment, name in zip(segments, names, strict=True):
        files[name.output_model] = segment.data
        files[name.log] = operation_log(segment.report, name).encode()
    return files


def _index(one: OperatorReport) -> int:
    return one.index
