"""What this compiler makes of models, beside what Google's made of them.

Google's packages lie beside their originals, or what was read in them is in ``packages.csv``: of
public packages whose originals, or the same networks in the zoo, can be compiled here.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import median

from compiler.compile import compile_graph
from compiler.cutting import parameter_count_parts
from compiler.graph import Graph
from compiler.reading import graph_from_bytes, read_graph
from devices.errors import EdgeTpuError, ModelError
from devices.executable import describe_google_package, executable_from_bytes

SEGMENTS = (2, 3, 4)
"""Into how many segments models are cut for the table."""

_SUFFIX = "_edgetpu"
_PADDED_TO = 8
"""Inputs and outputs of Google's packages are padded to a multiple of so many bytes."""


@dataclass(frozen=True)
class Figures:
    """What one compiler made of a model."""

    cpu_operators: int
    on_chip_bytes: int
    off_chip_bytes: int
    instruction_bytes: int
    input_bytes: int
    output_bytes: int


@dataclass(frozen=True)
class Comparison:
    """A model, our figures, and Google's where there is a package; else why we have none.

    ``package`` says where Google's is, ``cuts`` how many operators each segment has, cut by
    ``--num_segments`` into each of :data:`SEGMENTS`; empty where the model cannot be cut so often.
    """

    model: str
    ours: Figures | None
    google: Figures | None
    package: str = ""
    refused: str = ""
    cuts: tuple[tuple[int, ...], ...] = ()


def compare(folders: Sequence[Path]) -> Iterator[Comparison]:
    """Compile every original in these folders, and look into the packages beside them."""
    for folder in folders:
        for path in sorted(folder.glob("*.tflite")):
            if _SUFFIX in path.stem:
                continue
            google, package = _google(path.with_name(f"{path.stem}{_SUFFIX}.tflite")), "beside it"
            if google is None:
                google, package = _published(path.stem)
            try:
                graph = read_graph(path)
                yield Comparison(
                    path.stem, _ours(graph), google, package, cuts=operators_of_segments(graph)
                )
            except EdgeTpuError as error:
                reason = str(error).replace(str(path), path.name)
                yield Comparison(path.stem, None, google, package, reason)


def compare_zoo(
    names: Sequence[str], progress: Callable[[str], None] = lambda _: None
) -> Iterator[Comparison]:
    """The same for networks of the zoo, whose weights are zeros here: they decide nothing."""
    import zoo

    for place, name in enumerate(names, 1):
        progress(f"{place} of {len(names)}: {name}")
        graph = graph_from_bytes(zoo.build(name, weights="zeros"), name)
        google, package = _published(f"zoo:{name}")
        yield Comparison(name, _ours(graph), google, package, cuts=operators_of_segments(graph))


def operators_of_segments(graph: Graph) -> tuple[tuple[int, ...], ...]:
    """How many operators each segment has, for each of :data:`SEGMENTS`."""
    found: list[tuple[int, ...]] = []
    for count in SEGMENTS:
        try:
            found.append(tuple(len(part) for part in parameter_count_parts(graph, count)))
        except EdgeTpuError:
            found.append(())
    return tuple(found)


def _ours(graph: Graph) -> Figures:
    compiled = compile_graph(graph)
    (part,) = executable_from_bytes(compiled.data, Path(graph.name)).parts
    return Figures(
        cpu_operators=compiled.report.cpu_operators,
        on_chip_bytes=compiled.info.on_chip_bytes,
        off_chip_bytes=compiled.info.off_chip_bytes,
        instruction_bytes=compiled.info.instruction_bytes,
        input_bytes=sum(_padded(spec.size_bytes) for spec in part.inputs),
        output_bytes=sum(_padded(spec.size_bytes) for spec in part.outputs),
    )


def _google(path: Path) -> Figures | None:
    if not path.exists():
        return None
    try:
        package = describe_google_package(path)
    except ModelError:
        return None  # ours, or damaged
    return Figures(
        cpu_operators=package.cpu_operators,
        on_chip_bytes=package.on_chip_bytes,
        off_chip_bytes=package.off_chip_bytes,
        instruction_bytes=package.instruction_bytes,
        input_bytes=sum(layer.size_bytes for layer in package.inputs),
        output_bytes=sum(layer.size_bytes for layer in package.outputs),
    )


def _published(model: str) -> tuple[Figures | None, str]:
    """What was read in a public package, and where that is."""
    row = _packages().get(model)
    if row is None:
        return None, ""
    return Figures(**{field.name: int(row[field.name]) for field in fields(Figures)}), row[
        "package"
    ]


@cache
def _packages() -> Mapping[str, Mapping[str, str]]:
    text = files("compiler.accuracy").joinpath("packages.csv").read_text(encoding="utf-8")
    return {row["model"]: row for row in csv.DictReader(text.splitlines())}


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _PADDED_TO) * _PADDED_TO


_COLUMNS = (
    ("operators on the CPU", "cpu_operators"),
    ("on-chip bytes", "on_chip_bytes"),
    ("streamed bytes", "off_chip_bytes"),
    ("instruction bytes", "instruction_bytes"),
    ("input bytes", "input_bytes"),
    ("output bytes", "output_bytes"),
)


def as_markdown(found: Sequence[Comparison]) -> str:
    """A table, "ours / Google's" in each cell, and the median errors below it."""
    lines = [
        "| model | " + " | ".join(title for title, _ in _COLUMNS) + " | Google's package |",
        "|---" * (len(_COLUMNS) + 2) + "|",
    ]
    for one in found:
        package = "–" if one.google is None else one.package
        if one.ours is None:
            empty = " |" * (len(_COLUMNS) - 1)
            lines.append(f"| {one.model} | refused: {one.refused} |{empty} {package} |")
            continue
        cells = [_cell(one, field) for _, field in _COLUMNS]
        lines.append(f"| {one.model} | " + " | ".join(cells) + f" | {package} |")
    pairs = [(one.ours, one.google) for one in found if one.ours and one.google]
    if pairs:
        lines += ["", f"Beside {len(pairs)} packages:"]
    for title, field in _COLUMNS if pairs else ():
        values = [(getattr(ours, field), getattr(google, field)) for ours, google in pairs]
        equal = sum(a == b for a, b in values)
        off = [abs(a - b) / b for a, b in values if b]
        error = f"; error {median(off):.1%} in the median, {max(off):.1%} at worst" if off else ""
        if off and len(off) < len(values):
            error += f" (of the {len(off)} where Google's is not 0)"
        lines.append(f"- {title}: equal in {equal} of {len(values)}{error}")
    return "\n".join(lines)


def _cell(one: Comparison, field: str) -> str:
    ours = f"{getattr(one.ours, field):,}"
    return ours if one.google is None else f"{ours} / {getattr(one.google, field):,}"


def cuts_as_markdown(found: Sequence[Comparison]) -> str:
    """How many operators the segments of every model have."""
    lines = [
        "| model | " + " | ".join(f"`-n {count}`" for count in SEGMENTS) + " |",
        "|---" * (len(SEGMENTS) + 1) + "|",
    ]
    for one in found:
        cells = [" + ".join(map(str, parts)) or "cannot be cut so often" for parts in one.cuts]
        if cells:
            lines.append(f"| {one.model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
