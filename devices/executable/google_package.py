"""Looking into files made by Google's compiler: sizes, token, versions, inputs and outputs.

Google's custom operator carries, under key ``"4"`` of its FlexBuffer map, a flatbuffer of its own
(``executable.fbs`` of libedgetpu, identifier ``DWN1``).  It is read here by table offsets, far
enough to report what a user may want to know; its instructions run on the real chip only.

    Package ─ slot 1 ─► MultiExecutable ─ slot 0 ─► Executable (one per kind)

The file around it is read with ``tflite``, which leaves constants and all else where they lie.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tflite
from flatbuffers import flexbuffers, number_types
from flatbuffers.table import Table

from devices.errors import ModelError
from devices.executable.description import CUSTOM_OPERATOR

GOOGLE_IDENTIFIER = b"DWN1"
"""File identifier of the package flatbuffer inside Google's compiled files."""

_PACKAGE_KEY = "4"

# Slots of libedgetpu's executable.fbs: a field's place in the table's field list.
_PACKAGE_MIN_RUNTIME = 0
_PACKAGE_MULTI_EXECUTABLE = 1
_PACKAGE_COMPILER_VERSION = 4
_MULTI_EXECUTABLES = 0
_EXECUTABLE_BATCH = 3
_EXECUTABLE_SCRATCH = 4
_EXECUTABLE_BITSTREAMS = 5
_EXECUTABLE_PARAMETERS = 6
_EXECUTABLE_INPUTS = 8
_EXECUTABLE_OUTPUTS = 9
_EXECUTABLE_NARROW_MEMORY = 12
_EXECUTABLE_TYPE = 13
_EXECUTABLE_TOKEN = 14
_BITSTREAM_BYTES = 0
_LAYER_NAME = 0
_LAYER_SIZE = 1
_LAYER_Y, _LAYER_X, _LAYER_Z = 2, 3, 4

ExecutableKind = Literal["stand-alone", "parameter-caching", "execution-only"]
_KINDS: tuple[ExecutableKind, ...] = ("stand-alone", "parameter-caching", "execution-only")


@dataclass(frozen=True)
class GoogleLayer:
    """An input or output of a package: name, size padded for the chip, height, width, channels."""

    name: str
    size_bytes: int
    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class GooglePackage:
    """What a file made by Google's compiler says of itself.

    ``on_chip_bytes`` are parameters cached by the parameter-caching executable, ``off_chip_bytes``
    those streamed at every inference, ``instruction_bytes`` the instruction stream of an
    inference, ``caching_instruction_bytes`` the one that fills the cache.
    ``narrow_memory_bytes`` is activation memory used per tile.
    """

    file_bytes: int
    package_bytes: int
    min_runtime_version: int
    compiler_version: str
    kinds: tuple[ExecutableKind, ...]
    caching_token: int
    on_chip_bytes: int
    off_chip_bytes: int
    instruction_bytes: int
    caching_instruction_bytes: int
    narrow_memory_bytes: int
    cpu_operators: int
    inputs: tuple[GoogleLayer, ...]
    outputs: tuple[GoogleLayer, ...]


def describe_google_package(path: Path) -> GooglePackage:
    """Read a file made by Google's compiler as far as it can be understood.

    Raises :class:`~devices.errors.ModelError` for any other file and for a damaged one.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}).") from None
    if GOOGLE_IDENTIFIER not in data or CUSTOM_OPERATOR.encode() not in data:
        raise ModelError(f"{path} was not compiled by Google's Edge TPU compiler.")
    packages = google_packages(data, path)
    if len(packages) != 1:
        raise ModelError(f"{path} has {len(packages)} operators {CUSTOM_OPERATOR}, one expected.")
    return packages[0]


def google_packages(data: bytes, path: Path | str) -> tuple[GooglePackage, ...]:
    """Every package of a file made by Google's compiler, in the order of its operators.

    ``path`` is only named.  Raises :class:`~devices.errors.ModelError` for a damaged file.
    """
    try:
        return _describe(data)
    except Exception as error:
        # Nothing seals these files, and a flatbuffer with a wrong offset fails anywhere.
        raise ModelError(
            f"{path} looks like a file of Google's Edge TPU compiler but is damaged "
            f"({type(error).__name__}: {error})."
        ) from None


def _describe(data: bytes) -> tuple[GooglePackage, ...]:
    model = tflite.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() != 1:
        raise ValueError(f"{model.SubgraphsLength()} subgraphs, one expected")
    subgraph = model.Subgraphs(0)
    operators = [subgraph.Operators(index) for index in range(subgraph.OperatorsLength())]
    custom = [
        operator
        for operator in operators
        if model.OperatorCodes(operator.OpcodeIndex()).CustomCode() == CUSTOM_OPERATOR.encode()
    ]
    cpu_operators = len(operators) - len(custom)
    return tuple(_package(operator, len(data), cpu_operators) for operator in custom)


def _package(operator: Any, file_bytes: int, cpu_operators: int) -> GooglePackage:
    content = bytes(
        flexbuffers.GetRoot(bytes(operator.CustomOptionsAsNumpy()))
        .AsMap[_PACKAGE_KEY]
        .AsStringBytes
    )
    if content[4:8] != GOOGLE_IDENTIFIER:
        raise ValueError(f"the package starts with {content[4:8]!r}")
    package = _root(content)
    multi = _root(_bytes(package, _PACKAGE_MULTI_EXECUTABLE))
    executables = {_kind(table): table for table in map(_root, _texts(multi, _MULTI_EXECUTABLES))}
    main = executables.get("execution-only") or executables.get("stand-alone")
    if main is None:
        raise ValueError("the package has no executable that runs an inference")
    caching = executables.get("parameter-caching")
    return GooglePackage(
        file_bytes=file_bytes,
        package_bytes=len(content),
        min_runtime_version=_number(package, _PACKAGE_MIN_RUNTIME, number_types.Int32Flags),
        compiler_version=_bytes(package, _PACKAGE_COMPILER_VERSION).decode("utf-8", "replace"),
        kinds=tuple(executables),
        caching_token=_number(main, _EXECUTABLE_TOKEN, number_types.Uint64Flags),
        on_chip_bytes=0 if caching is None else len(_bytes(caching, _EXECUTABLE_PARAMETERS)),
        off_chip_bytes=len(_bytes(main, _EXECUTABLE_PARAMETERS)),
        instruction_bytes=_instructions(main),
        caching_instruction_bytes=0 if caching is None else _instructions(caching),
        narrow_memory_bytes=_number(main, _EXECUTABLE_NARROW_MEMORY, number_types.Int32Flags),
        cpu_operators=cpu_operators,
        inputs=_layers(main, _EXECUTABLE_INPUTS),
        outputs=_layers(main, _EXECUTABLE_OUTPUTS),
    )


def _kind(executable: Table) -> ExecutableKind:
    return _KINDS[_number(executable, _EXECUTABLE_TYPE, number_types.Int8Flags)]


def _instructions(executable: Table) -> int:
    return sum(
        len(_bytes(stream, _BITSTREAM_BYTES))
        for stream in _tables(executable, _EXECUTABLE_BITSTREAMS)
    )


def _layers(executable: Table, slot: int) -> tuple[GoogleLayer, ...]:
    return tuple(
        GoogleLayer(
            name=_bytes(layer, _LAYER_NAME).decode("utf-8", "replace"),
            size_bytes=_number(layer, _LAYER_SIZE, number_types.Int32Flags),
            height=_number(layer, _LAYER_Y, number_types.Int32Flags),
            width=_number(layer, _LAYER_X, number_types.Int32Flags),
            channels=_number(layer, _LAYER_Z, number_types.Int32Flags),
        )
        for layer in _tables(executable, slot)
    )


def _root(content: bytes) -> Table:
    return Table(content, struct.unpack_from("<I", content, 0)[0])


def _field(table: Table, slot: int) -> int:
    """Position of a field relative to its table, 0 when absent."""
    return int(table.Offset(4 + 2 * slot))


def _number(table: Table, slot: int, flags: Any) -> int:
    offset = _field(table, slot)
    return int(table.Get(flags, table.Pos + offset)) if offset else 0


def _bytes(table: Table, slot: int) -> bytes:
    """A text or byte list; the two are laid out alike.  Empty when absent."""
    offset = _field(table, slot)
    if not offset:
        return b""
    start, length = table.Vector(offset), table.VectorLen(offset)
    if start + length > len(table.Bytes):
        raise ValueError(f"a list ends at byte {start + length} of {len(table.Bytes)}")
    return bytes(table.Bytes[start : start + length])


def _elements(table: Table, slot: int) -> list[int]:
    """Positions of the entries of a list of tables or texts."""
    offset = _field(table, slot)
    if not offset:
        return []
    start = table.Vector(offset)
    return [start + 4 * index for index in range(table.VectorLen(offset))]


def _tables(table: Table, slot: int) -> list[Table]:
    return [Table(table.Bytes, table.Indirect(at)) for at in _elements(table, slot)]


def _texts(table: Table, slot: int) -> list[bytes]:
    return [bytes(table.String(at)) for at in _elements(table, slot)]
