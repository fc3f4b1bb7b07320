"""What this compiler makes of models, beside what Google's made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from compiler.compile import compile_graph
from compiler.reading import read_graph
from devices.errors import EdgeTpuError, ModelError
from devices.executable import describe_google_package, executable_from_bytes

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
    """A model, our figures, and Google's where there is a package; else why we have none."""

    model: str
    ours: Figures | None
    google: Figures | None
    refused: str = ""


def compare(folders: Sequence[Path]) -> Iterator[Comparison]:
    """Compile every original in these folders, and look into the packages beside them."""
    for folder in folders:
        for path in sorted(folder.glob("*.tflite")):
            if _SUFFIX in path.stem:
                continue
            google = _google(path.with_name(f"{path.stem}{_SUFFIX}.tflite"))
            try:
                yield Comparison(path.stem, _ours(path), google)
            except EdgeTpuError as error:
                reason = str(error).replace(str(path), path.name)
                yield Comparison(path.stem, None, google, reason)


def _ours(path: Path) -> Figures:
    compiled = compile_graph(read_graph(path))
    (part,) = executable_from_bytes(compiled.data, path).parts
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
        "| model | " + " | ".join(title for title, _ in _COLUMNS) + " |",
        "|---" * (len(_COLUMNS) + 1) + "|",
    ]
    for one in found:
        if one.ours is None:
            lines.append(f"| {one.model} | refused: {one.refused} |" + " |" * (len(_COLUMNS) - 1))
            continue
        cells = []
        for _, field in _COLUMNS:
            google = "–" if one.google is None else f"{getattr(one.google, field):,}"
            cells.append(f"{getattr(one.ours, field):,} / {google}")
        lines.append(f"| {one.model} | " + " | ".join(cells) + " |")
    pairs = [(one.ours, one.google) for one in found if one.ours and one.google]
    if pairs:
        lines += ["", f"Beside {len(pairs)} packages:"]
    for title, field in _COLUMNS if pairs else ():
        values = [(getattr(ours, field), getattr(google, field)) for ours, google in pairs]
        equal = sum(a == b for a, b in values)
        off = [abs(a - b) / b for a, b in values if b]
        error = f", median error {median(off):.1%}, worst {max(off):.1%}" if off else ""
        lines.append(f"{title}: equal in {equal} of {len(values)}{error}")
    return "\n".join(lines)
