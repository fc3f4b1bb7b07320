"""The executable file: reading one, only after its seal has been checked.

What it looks like is in :mod:`devices.executable.sealing`.  ``tflite`` reads it, taking the few
tables that are needed from where they lie; the schema of ``ai_edge_litert``, whose object trees can
be written, makes a model of its tail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tflite
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from devices.device import TensorSpec
from devices.errors import ModelError
from devices.executable import tflite_file
from devices.executable.description import (
    CUSTOM_OPERATOR,
    FORMAT_VERSION,
    Executable,
    ExecutableInfo,
    OperatorWork,
)
from devices.executable.google_package import GOOGLE_IDENTIFIER
from devices.executable.sealing import (
    DIGEST_BYTES,
    INFO_NUMBERS,
    MARKER,
    METADATA_NAME,
    NUMBER_COLUMNS,
)
from devices.kept_file import shown_path


def read_executable(path: Path) -> Executable:
    """Read and verify an executable file.

    Raises :class:`~devices.errors.ModelError`, one sentence, when there is no such file, when its
    seal is broken, and when it is something else: a model that still has to be compiled, or a
    file made by Google's compiler.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; compile a model with edgetpu_compiler.") from None
    except IsADirectoryError:
        raise ModelError(f"{path} is a directory, a compiled .tflite file is needed.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path} cannot be read ({reason}).") from None
    return executable_from_bytes(data, shown_path(path))


def executable_from_bytes(data: bytes, path: Path) -> Executable:
    """As :func:`read_executable`, for bytes already in memory; ``path`` is only kept and named."""
    _check_seal(data, path)
    model = tflite.Model.GetRootAs(data, 0)
    subgraph = model.Subgraphs(0)
    count = subgraph.OperatorsLength()
    operators = [subgraph.Operators(place) for place in range(count)]
    place = next((i for i in range(count) if _is_custom_operator(model, operators[i])), None)
    head: bytes | None = None
    tail: bytes | None = data
    if place is not None:
        custom = operators[place]
        description = _read_map(_content(custom.CustomOptionsAsNumpy()), path)
        mapped_inputs = _specs(subgraph, _listed(custom.InputsLength(), custom.Inputs), path)
        mapped_outputs = _specs(subgraph, _listed(custom.OutputsLength(), custom.Outputs), path)
        head = _part(data, range(place), behind=()) if place else None
        tail = _part(data, range(place + 1, count), behind=range(place + 1))
    else:
        description = _read_map(_metadata(model), path)
        mapped_inputs = mapped_outputs = ()
    inputs = _specs(subgraph, _listed(subgraph.InputsLength(), subgraph.Inputs), path)
    outputs = _specs(subgraph, _listed(subgraph.OutputsLength(), subgraph.Outputs), path)
    return Executable(
        path=path,
        info=_info(description, path),
        inputs=inputs,
        outputs=outputs,
        mapped_inputs=mapped_inputs,
        mapped_outputs=mapped_outputs,
        mapped_model=None if place is None else description["mapped_model"],
        tail_model=tail,
        head_model=head,
    )


def _check_seal(data: bytes, path: Path) -> None:
    marker = data.find(MARKER)
    if marker < 0:
        raise ModelError(f"{path} {_what_else(data)}")
    start = marker + len(MARKER)
    digest = hashlib.sha256()
    view = memoryview(data)
    digest.update(view[:start])
    digest.update(bytes(DIGEST_BYTES))
    digest.update(view[start + DIGEST_BYTES :])
    if digest.digest() != data[start : start + DIGEST_BYTES]:
        raise ModelError(
            f"{path} is damaged: its contents do not match its SHA-256 seal; compile it again."
        )


def _what_else(data: bytes) -> str:
    """What a file without our marker is, and what to do about it."""
    if not data:
        return "is empty; compile the model again."
    if GOOGLE_IDENTIFIER in data and CUSTOM_OPERATOR.encode() in data:
        return (
            "was compiled by Google's compiler: its sizes, caching token and shapes can be read "
            "(devices.executable.describe_google_package), but only a real Edge TPU can "
            "execute it; compile the original .tflite with this project's edgetpu_compiler."
        )
    if CUSTOM_OPERATOR.encode() in data or METADATA_NAME.encode() in data:
        return "is a damaged executable: its seal is gone; compile it again."
    if data[4:8] == tflite_file.FILE_IDENTIFIER:
        return "is not compiled for the Edge TPU; compile it with edgetpu_compiler first."
    return "is not a compiled .tflite file; compile a model with edgetpu_compiler."


def _is_custom_operator(model: Any, operator: Any) -> bool:
    code = model.OperatorCodes(operator.OpcodeIndex())
    return bool(code.CustomCode() == CUSTOM_OPERATOR.encode())


def _metadata(model: Any) -> bytes:
    for entry in _listed(model.MetadataLength(), model.Metadata):
        if entry.Name() == METADATA_NAME.encode():
            return _content(model.Buffers(entry.Buffer()).DataAsNumpy())
    return b""


def _listed(length: int, entry: Callable[[int], Any]) -> list[Any]:
    """The entries of a list of the file, read one by one; an absent list is empty."""
    return [entry(index) for index in range(length)]


def _content(found: Any) -> bytes:
    """A list of bytes of the file; for an absent one the reader gives the number 0."""
    return b"" if isinstance(found, int) else bytes(found)


def _read_map(content: bytes, path: Path) -> Mapping[str, Any]:
    if not content:
        raise ModelError(f"{path} has no description of its executable; compile it again.")
    description: Mapping[str, Any] = flexbuffers.GetRoot(content).AsMap.Value
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{path} has executable format {version}, this version reads format "
            f"{FORMAT_VERSION}; compile it again."
        )
    return description


def _info(description: Mapping[str, Any], path: Path) -> ExecutableInfo:
    columns = description["operators"]
    operators = []
    for row in range(len(columns["name"])):
        target: Literal["tpu", "cpu"] = "tpu" if columns["target"][row] == "tpu" else "cpu"
        numbers = {field: int(columns[field][row]) for field in NUMBER_COLUMNS}
        operators.append(
            OperatorWork(
                name=columns["name"][row],
                target=target,
                on_chip=bool(columns["on_chip"][row]),
                **numbers,
            )
        )
    return ExecutableInfo(
        operators=tuple(operators), **{field: int(description[field]) for field in INFO_NUMBERS}
    )


def _specs(subgraph: Any, indices: Sequence[int], path: Path) -> tuple[TensorSpec, ...]:
    specs = []
    for index in indices:
        tensor = subgraph.Tensors(index)
        dtype = tflite_file.numpy_name(tensor.Type())
        name = (tensor.Name() or b"").decode("utf-8", "replace")
        if dtype is None:
            type_name = tflite_file.TYPE_NAMES.get(tensor.Type(), str(tensor.Type()))
            raise ModelError(
                f"{path}: tensor {name} has type {type_name}, which cannot be handed over."
            )
        shape = tuple(_listed(tensor.ShapeLength(), tensor.Shape))
        specs.append(TensorSpec(name, dtype, shape))
    return tuple(specs)


def _part(data: bytes, places: range, behind: Iterable[int]) -> bytes | None:
    """The operators at these places as a model; ``None`` if there are none.

    What those ``behind`` which they stand have made becomes an input of theirs, and so do inputs
    of the file that they read.  Outputs are those of the file that they make, and what others
    read.  In a tail, inputs of the file that nobody in front reads belong to it, needed or not,
    and so do outputs of the file that are its inputs.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    subgraph = model.subgraphs[0]
    everyone = subgraph.operators
    before = [everyone[place] for place in behind]
    mine = [everyone[place] for place in places]
    if not mine:
        return None
    others = [o for place, o in enumerate(everyone) if place not in places]
    file_in, file_out = _ints(subgraph.inputs), _ints(subgraph.outputs)
    read, made = _read(mine), _made(mine)
    given = _made(before)
    is_tail = bool(before)
    if is_tail:
        passed = [t for t in file_out if t not in given]
        known = _read(before)
        inputs = [t for t in file_in if t in read or t in passed or t not in known]
        outputs = passed
    else:
        inputs = [t for t in file_in if t in read]
        wanted = _read(others)
        outputs = [t for t in made if t in wanted or t in file_out]
    inputs += [t for t in given if t in read]
    subgraph.operators = mine
    subgraph.inputs = np.array(inputs, np.int32)
    subgraph.outputs = np.array(outputs, np.int32)
    model.buffers = [tflite_file.aligned_buffer(buffer.data) for buffer in model.buffers]
    return tflite_file.pack_model(model)


def _read(operators: Iterable[Any]) -> set[int]:
    return {index for operator in operators for index in _ints(operator.inputs)}


def _made(operators: Iterable[Any]) -> list[int]:
    return [index for operator in operators for index in _ints(operator.outputs)]


def _ints(indices: Any) -> list[int]:
    return [] if indices is None else [int(index) for index in indices]
