"""The executable file: writing one, and reading one only after its seal has been checked.

An executable is a ``.tflite`` file that any TFLite tool can open and look at::

    with mapped operators                      with CPU operators only
    ─────────────────────                      ───────────────────────
    inputs                                     inputs
      │ edgetpu-custom-op                        │ CPU operators
      │   custom options: FlexBuffer map         │
      │ CPU operators, if any (the tail)       outputs
    outputs                                    metadata "edgetpu-pipeline": the same map

The FlexBuffer map holds

    ``mapped_model``            the mapped operators as a complete ``.tflite`` (absent on the right)
    ``format_version``, ``min_runtime_version``, ``caching_token``, ``on_chip_offset_bytes``,
    ``instruction_bytes``, ``available_on_chip_bytes``     see :class:`ExecutableInfo`
    ``operators``               the work and parameter table, one list per column
    ``seal``                    32 marker bytes, then the SHA-256 of the whole file computed with
                                these last 32 bytes zero

The seal covers every byte of the file, so a flipped bit, a missing end or an added one is refused
before anything else in the file is looked at.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
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
from devices.executable.google_package import GOOGLE_IDENTIFIER, describe_google_package
from devices.sealed import shown_path

__all__ = [
    "METADATA_NAME",
    "describe_google_package",
    "executable_from_bytes",
    "read_executable",
    "seal",
]

METADATA_NAME = "edgetpu-pipeline"
"""Metadata entry that describes an executable in which no operator is mapped."""

_MARKER = hashlib.sha256(b"edgetpu-pipeline: the digest of this file follows").digest()
_DIGEST_BYTES = 32
_UNSEALED = _MARKER + bytes(_DIGEST_BYTES)

_TEXT_COLUMNS = ("name", "target")
_NUMBER_COLUMNS = tuple(
    field.name
    for field in dataclasses.fields(OperatorWork)
    if field.name not in (*_TEXT_COLUMNS, "on_chip")
)
_INFO_NUMBERS = (
    "min_runtime_version",
    "caching_token",
    "on_chip_offset_bytes",
    "instruction_bytes",
    "available_on_chip_bytes",
)


# ------------------------------------------------------------------------------------- writing


def seal(
    info: ExecutableInfo,
    frame: Any,
    *,
    mapped_model: bytes | None = None,
    mapped_inputs: Sequence[int] = (),
    mapped_outputs: Sequence[int] = (),
) -> bytes:
    """The bytes of an executable file.

    ``frame`` is the schema object tree (``ModelT``, one subgraph) of the CPU operators with the
    inputs and outputs of the whole executable; it is taken over and changed.  With a
    ``mapped_model``, the custom operator is put in front of them, reading and making the frame's
    tensors ``mapped_inputs`` and ``mapped_outputs``.  The same arguments give the same bytes.
    """
    description = np.frombuffer(_describe(info, mapped_model), np.uint8)
    subgraph = frame.subgraphs[0]
    if mapped_model is None:
        entry = schema.MetadataT()
        entry.name = METADATA_NAME
        entry.buffer = len(frame.buffers)
        frame.buffers.append(tflite_file.aligned_buffer(description))
        frame.metadata = [entry]
    else:
        operator = schema.OperatorT()
        operator.opcodeIndex = len(frame.operatorCodes)
        operator.inputs = np.array(mapped_inputs, np.int32)
        operator.outputs = np.array(mapped_outputs, np.int32)
        operator.customOptions = description
        frame.operatorCodes.append(
            tflite_file.operator_code(tflite_file.CUSTOM, CUSTOM_OPERATOR.encode())
        )
        subgraph.operators = [operator, *subgraph.operators]
    content = bytearray(tflite_file.pack_model(frame))
    start = content.index(_UNSEALED) + len(_MARKER)
    content[start : start + _DIGEST_BYTES] = hashlib.sha256(content).digest()
    return bytes(content)


def _describe(info: ExecutableInfo, mapped_model: bytes | None) -> bytes:
    """The FlexBuffer map.

    The large blob goes first: the Python reader copies the rest of the file for every key it
    looks at, and so copies little.
    """
    builder = flexbuffers.Builder()
    with builder.Map():
        if mapped_model is not None:
            builder.Blob("mapped_model", mapped_model)
        builder.Blob("seal", _UNSEALED)
        builder.UInt("format_version", FORMAT_VERSION)
        for field in _INFO_NUMBERS:
            builder.UInt(field, getattr(info, field))
        builder.Key("operators")
        with builder.Map():
            for field in _TEXT_COLUMNS:
                builder.Key(field)
                with builder.Vector():
                    for work in info.operators:
                        builder.String(getattr(work, field))
            for field in (*_NUMBER_COLUMNS, "on_chip"):
                builder.Key(field)
                with builder.Vector():
                    for work in info.operators:
                        builder.UInt(int(getattr(work, field)))
    return bytes(builder.Finish())


# ------------------------------------------------------------------------------------- reading


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
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    subgraph = model.subgraphs[0]
    head = subgraph.operators[0] if subgraph.operators else None
    mapped = head is not None and _is_custom_operator(model, head)
    if head is not None and mapped:
        description = _read_map(head.customOptions, path)
        mapped_inputs = _specs(subgraph, head.inputs, path)
        mapped_outputs = _specs(subgraph, head.outputs, path)
    else:
        description = _read_map(_metadata(model), path)
        mapped_inputs = mapped_outputs = ()
    inputs = _specs(subgraph, subgraph.inputs, path)
    outputs = _specs(subgraph, subgraph.outputs, path)
    tail: bytes | None = data
    if mapped:
        tail = _tail(model) if len(subgraph.operators) > 1 else None
    return Executable(
        path=path,
        info=_info(description, path),
        inputs=inputs,
        outputs=outputs,
        mapped_inputs=mapped_inputs,
        mapped_outputs=mapped_outputs,
        mapped_model=description["mapped_model"] if mapped else None,
        tail_model=tail,
    )


def _check_seal(data: bytes, path: Path) -> None:
    marker = data.find(_MARKER)
    if marker < 0:
        raise ModelError(f"{path} {_what_else(data)}")
    start = marker + len(_MARKER)
    digest = hashlib.sha256()
    view = memoryview(data)
    digest.update(view[:start])
    digest.update(bytes(_DIGEST_BYTES))
    digest.update(view[start + _DIGEST_BYTES :])
    if digest.digest() != data[start : start + _DIGEST_BYTES]:
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
    code = model.operatorCodes[operator.opcodeIndex]
    return bool(code.customCode == CUSTOM_OPERATOR.encode())


def _metadata(model: Any) -> Any:
    for entry in model.metadata or ():
        if entry.name == METADATA_NAME.encode():
            return model.buffers[entry.buffer].data
    return b""


def _read_map(content: Any, path: Path) -> Mapping[str, Any]:
    if content is None or not len(content):
        raise ModelError(f"{path} has no description of its executable; compile it again.")
    description: Mapping[str, Any] = flexbuffers.GetRoot(bytes(content)).AsMap.Value
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
        numbers = {field: int(columns[field][row]) for field in _NUMBER_COLUMNS}
        operators.append(
            OperatorWork(
                name=columns["name"][row],
                target=target,
                on_chip=bool(columns["on_chip"][row]),
                **numbers,
            )
        )
    return ExecutableInfo(
        operators=tuple(operators), **{field: int(description[field]) for field in _INFO_NUMBERS}
    )


def _specs(subgraph: Any, indices: Any, path: Path) -> tuple[TensorSpec, ...]:
    specs = []
    for index in [] if indices is None else indices:
        tensor = subgraph.tensors[int(index)]
        dtype = tflite_file.numpy_name(tensor.type)
        name = (tensor.name or b"").decode("utf-8", "replace")
        if dtype is None:
            type_name = tflite_file.TYPE_NAMES.get(tensor.type, str(tensor.type))
            raise ModelError(
                f"{path}: tensor {name} has type {type_name}, which cannot be handed over."
            )
        shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
        specs.append(TensorSpec(name, dtype, shape))
    return tuple(specs)


def _tail(model: Any) -> bytes:
    """The CPU operators as a model: what the custom operator made becomes its input.

    Inputs of the file that the custom operator does not read belong to the tail, needed or not,
    and so do outputs of the file that the custom operator does not make.
    """
    subgraph = model.subgraphs[0]
    head, *rest = subgraph.operators
    mapped_in, mapped_out = _ints(head.inputs), _ints(head.outputs)
    file_in, file_out = _ints(subgraph.inputs), _ints(subgraph.outputs)
    read = {index for operator in rest for index in _ints(operator.inputs)}
    outputs = [index for index in file_out if index not in mapped_out]
    inputs = [i for i in file_in if i in read or i in outputs or i not in mapped_in]
    inputs += [index for index in mapped_out if index in read]
    subgraph.operators = rest
    subgraph.inputs = np.array(inputs, np.int32)
    subgraph.outputs = np.array(outputs, np.int32)
    model.buffers = [tflite_file.aligned_buffer(buffer.data) for buffer in model.buffers]
    return tflite_file.pack_model(model)


def _ints(indices: Any) -> list[int]:
    return [] if indices is None else [int(index) for index in indices]
