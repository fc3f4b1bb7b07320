"""Writing a drafted model as a ``.tflite`` flatbuffer.

With the schema of ``ai_edge_litert``: the package ``tflite`` has no object trees to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zoo.quantization import Quantization

_BUFFER_ALIGNMENT = 16  # `force_align: 16` of Buffer.data in the TFLite schema
_SCHEMA_VERSION = 3
_SUBGRAPH_NAME = "main"
TYPE_CODES: Mapping[str, int] = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
}
"""Element types that a drafted tensor may have, by numpy's names."""


@dataclass(frozen=True)
class PerChannel:
    """Symmetric quantisation: one float32 scale per slice of ``axis`` (or a single one)."""

    scales: NDArray[np.float64]
    axis: int


@dataclass(frozen=True)
class TensorDraft:
    """One tensor of the file; ``data`` is set for constants only."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | PerChannel | None = None
    data: NDArray[Any] | None = None


@dataclass(frozen=True)
class OperatorDraft:
    """One operator of the file.

    ``code`` is a name in ``schema.BuiltinOperator``; ``options_type`` one in
    ``schema.BuiltinOptions`` (or None), whose fields are ``options``. ``macs`` is the number of
    multiplications the operator does, for listings only.
    """

    code: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    custom_code: str | None = None
    custom_options: bytes = b""
    macs: int = 0


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data starts at a multiple of 16 in the file.

    The schema asks for that; the generated Python writer does not do it.
    """

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the schema's name
        data = None
        if self.data is not None:
            size = len(self.data)
            builder.StartVector(1, size, _BUFFER_ALIGNMENT)
            builder.head -= size
            builder.Bytes[builder.head : builder.head + size] = memoryview(self.data)
            builder.vectorNumElems = size
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """A builder that gives every table a vtable of its own.

    The library lets equal tables share one, and which ones count as equal has changed between
    its releases; the file must not depend on the release.
    """

    def WriteVtable(self) -> Any:  # noqa: N802 - the library's name
        self.vtables.clear()
        return super().WriteVtable()


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little_endian).reshape(-1).view(np.uint8)


def _quantization(value: Quantization | PerChannel | None) -> Any:
    if value is None:
        return None
    parameters = schema.QuantizationParametersT()
    if isinstance(value, Quantization):
        scales, zero_points, axis = np.array([value.scale]), [value.zero_point], 0
    else:
        scales, zero_points, axis = value.scales, [0] * value.scales.size, value.axis
    parameters.scale = scales.astype("<f4")
    parameters.zeroPoint = np.array(zero_points, "<i8")
    parameters.quantizedDimension = axis
    return parameters


def _operator_code(operator: OperatorDraft) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator.code)
    # Readers older than 2020 know only this byte-sized field.
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = operator.version
    code.customCode = operator.custom_code
    return code


def _operator(operator: OperatorDraft, opcode_index: int) -> Any:
    out = schema.OperatorT()
    out.opcodeIndex = opcode_index
    out.inputs = np.array(operator.inputs, "<i4")
    out.outputs = np.array(operator.outputs, "<i4")
    if operator.options_type is not None:
        out.builtinOptionsType = getattr(schema.BuiltinOptions, operator.options_type)
        out.builtinOptions = getattr(schema, operator.options_type + "T")()
        for name, value in operator.options.items():
            if not hasattr(out.builtinOptions, name):
                raise AttributeError(f"{operator.options_type} has no field {name!r}")
            setattr(out.builtinOptions, name, value)
    if operator.custom_options:
        out.customOptions = np.frombuffer(operator.custom_options, np.uint8)
    return out


def serialize(
    tensors: list[TensorDraft],
    operators: list[OperatorDraft],
    inputs: list[int],
    outputs: list[int],
    description: str,
) -> bytes:
    """The model as the bytes of a ``.tflite`` file, one buffer per constant, buffer 0 empty."""
    model = schema.ModelT()
    model.version = _SCHEMA_VERSION
    model.description = description
    model.buffers = [_AlignedBuffer()]
    size_bytes = 1 << 16

    graph = schema.SubGraphT()
    graph.name = _SUBGRAPH_NAME
    graph.inputs = np.array(inputs, "<i4")
    graph.outputs = np.array(outputs, "<i4")
    graph.tensors = []
    for draft in tensors:
        tensor = schema.TensorT()
        tensor.name = draft.name
        tensor.shape = np.array(draft.shape, "<i4")
        tensor.type = TYPE_CODES[draft.dtype]
        tensor.hasRank = True
        tensor.quantization = _quantization(draft.quantization)
        if draft.data is not None:
            buffer = _AlignedBuffer()
            buffer.data = _bytes_of(draft.data)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
            size_bytes += draft.data.nbytes + 64
        if isinstance(draft.quantization, PerChannel):
            size_bytes += 12 * draft.quantization.scales.size  # a float32 and an int64 for each
        graph.tensors.append(tensor)

    codes: dict[tuple[str, int, str | None], int] = {}
    model.operatorCodes = []
    graph.operators = []
    for operator in operators:
        key = (operator.code, operator.version, operator.custom_code)
        if key not in codes:
            codes[key] = len(codes)
            model.operatorCodes.append(_operator_code(operator))
        graph.operators.append(_operator(operator, codes[key]))
    model.subgraphs = [graph]

    # A builder of the final size never has to double and copy itself.
    builder = _Builder(size_bytes + 512 * len(tensors))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
