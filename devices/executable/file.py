"""The executable file: reading one, the sealed part only after its seal has been checked.

What it looks like is in :mod:`devices.executable.sealing`.  ``tflite`` reads it, taking the few
tables that are needed from where they lie.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tflite
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
    Part,
)
from devices.executable.google_package import GOOGLE_IDENTIFIER
from devices.executable.parts import cpu_models
from devices.executable.sealing import (
    DIGEST_BYTES,
    INFO_NUMBERS,
    MARKER,
    METADATA_NAME,
    NUMBER_COLUMNS,
)
from devices.executable.surroundings import damaged, open_surroundings
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
    """As :func:`read_executable`, for bytes already in memory; ``path`` is only kept and named.

    The content of a single custom operator, which is what a delegate is given, is an executable of
    one part and nothing around it.
    """
    if MARKER not in data:
        raise ModelError(f"{path} {_what_else(data)}")
    if data.startswith(MARKER):
        return _alone(data, path)
    model = open_surroundings(data, path)
    subgraph = model.Subgraphs(0)
    count = subgraph.OperatorsLength()
    operators = [subgraph.Operators(place) for place in range(count)]
    places = [at for at, one in enumerate(operators) if _is_custom_operator(model, one)]
    if places:
        parts = [_part(subgraph, operators[place], path) for place in places]
        runs = [range(a + 1, b) for a, b in pairwise((-1, *places, count))]
        first, *rest = cpu_models(data, runs, path)
        models = [first]
        for part, cpu in zip(parts, rest, strict=True):
            models += part.model, cpu
    else:
        parts = [Part(_info(_read_map(_unsealed(_metadata(model), path), path)))]
        models = [data]
    return Executable(
        path=path,
        inputs=_specs(subgraph, _listed(subgraph.InputsLength(), subgraph.Inputs), path),
        outputs=_specs(subgraph, _listed(subgraph.OutputsLength(), subgraph.Outputs), path),
        parts=tuple(parts),
        models=tuple(one for one in models if one is not None),
    )


def _part(subgraph: Any, custom: Any, path: Path) -> Part:
    """What a custom operator stands for."""
    description = _read_map(_unsealed(_content(custom.CustomOptionsAsNumpy()), path), path)
    model = description["mapped_model"]
    reads = _listed(custom.InputsLength(), custom.Inputs)
    makes = _listed(custom.OutputsLength(), custom.Outputs)
    _check_ends(subgraph, reads, makes, model, path)
    return Part(
        _info(description), _specs(subgraph, reads, path), _specs(subgraph, makes, path), model
    )


def _alone(package: bytes, path: Path) -> Executable:
    """A custom operator without its file: its ends are those of its mapped model."""
    description = _read_map(_unsealed(package, path), path)
    model = description["mapped_model"]
    inside = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
    inputs = _specs(inside, _listed(inside.InputsLength(), inside.Inputs), path)
    outputs = _specs(inside, _listed(inside.OutputsLength(), inside.Outputs), path)
    part = Part(_info(description), inputs, outputs, model)
    return Executable(path, inputs, outputs, (part,), (model,))


def _unsealed(package: bytes, path: Path) -> bytes:
    """The content of a package, once its seal has been checked."""
    start = len(MARKER) + DIGEST_BYTES
    if not package.startswith(MARKER):
        if MARKER in package:
            raise _other_format(1, path)
        raise ModelError(f"{path} is a damaged executable: its seal is gone; compile it again.")
    content = package[start:]
    if hashlib.sha256(content).digest() != package[len(MARKER) : start]:
        raise ModelError(
            f"{path} is damaged: its package does not match its SHA-256 seal; compile it again."
        )
    return content


def _check_ends(
    subgraph: Any, reads: Sequence[int], makes: Sequence[int], mapped_model: bytes, path: Path
) -> None:
    """Raise ``ModelError`` unless the tensors around the custom operator are its package's."""
    inside = tflite.Model.GetRootAs(mapped_model, 0).Subgraphs(0)
    for what, found, expected in (
        ("reads", reads, _listed(inside.InputsLength(), inside.Inputs)),
        ("makes", makes, _listed(inside.OutputsLength(), inside.Outputs)),
    ):
        if len(found) != len(expected):
            raise damaged(
                path,
                f"{CUSTOM_OPERATOR} {what} {len(found)} tensors and its package {len(expected)}",
            )
        for outer, inner in zip(found, expected, strict=True):
            if outer < 0 or _identity(subgraph.Tensors(outer)) != _identity(inside.Tensors(inner)):
                name = (inside.Tensors(inner).Name() or b"").decode("utf-8", "replace")
                raise damaged(
                    path,
                    f"tensor {outer}, which {CUSTOM_OPERATOR} {what}, is not {name!r} as in its "
                    "package",
                )


def _identity(tensor: Any) -> tuple[Any, ...]:
    """What tells a tensor from another: name, type, shape and quantisation."""
    quantization = tensor.Quantization()
    numbers: tuple[Any, ...] = ()
    if quantization is not None:
        numbers = (
            _content(quantization.ScaleAsNumpy(), "<f4"),
            _content(quantization.ZeroPointAsNumpy(), "<i8"),
            quantization.QuantizedDimension(),
        )
    return tensor.Name(), tensor.Type(), _content(tensor.ShapeAsNumpy(), "<i4"), numbers


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


def _content(found: Any, dtype: str = "u1") -> bytes:
    """A list of the file as bytes; for an absent one the reader gives the number 0."""
    return b"" if isinstance(found, int) else np.asarray(found, dtype).tobytes()


def _read_map(content: bytes, path: Path) -> Mapping[str, Any]:
    if not content:
        raise ModelError(f"{path} has no description of its executable; compile it again.")
    description: Mapping[str, Any] = flexbuffers.GetRoot(content).AsMap.Value
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        raise _other_format(version, path)
    return description


def _other_format(version: Any, path: Path) -> ModelError:
    return ModelError(
        f"{path} has executable format {version}, this version reads format "
        f"{FORMAT_VERSION}; compile it again."
    )


def _info(description: Mapping[str, Any]) -> ExecutableInfo:
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
