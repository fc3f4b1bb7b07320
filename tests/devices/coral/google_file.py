"""The smallest file that is laid out as Google's compiler lays out its own."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

INPUT_BYTES = 4
OUTPUT_BYTES = 6
ON_CHIP_BYTES = 640
STREAMED_BYTES = 64


def google_file() -> bytes:
    """A model of one ``edgetpu-custom-op``: uint8 ``x`` of [1, 4] to uint8 ``y`` of [1, 6]."""
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "edgetpu-custom-op"
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    options = flexbuffers.Builder()
    with options.Map():
        options.Int("1", 0)
        options.String("4", _Raw(_package()))
    operator.customOptions = np.frombuffer(options.Finish(), np.uint8)
    graph = schema.SubGraphT()
    graph.tensors = [_tensor("x", INPUT_BYTES), _tensor("y", OUTPUT_BYTES)]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _Raw(bytes):
    """Bytes where FlexBuffers wants text, which Google's files have there."""

    def encode(self, encoding: str) -> bytes:
        return self


def _tensor(name: str, size: int) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.shape = name, schema.TensorType.UINT8, [1, size]
    tensor.quantization = schema.QuantizationParametersT()
    return tensor


def _package() -> bytes:
    """``executable.fbs`` of libedgetpu: Package, MultiExecutable, two Executables."""
    parts = [_executable(kind=2, parameters=STREAMED_BYTES), _executable(1, ON_CHIP_BYTES)]
    builder = flatbuffers.Builder(1024)
    texts = [builder.CreateString(part) for part in parts]
    builder.StartVector(4, len(texts), 4)
    for text in reversed(texts):
        builder.PrependUOffsetTRelative(text)
    texts_at = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, texts_at, 0)
    builder.Finish(builder.EndObject())
    multi = bytes(builder.Output())
    builder = flatbuffers.Builder(1024)
    multi_at = builder.CreateByteVector(multi)
    builder.StartObject(5)
    builder.PrependInt32Slot(0, 13, 0)
    builder.PrependUOffsetTRelativeSlot(1, multi_at, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"DWN1")
    return bytes(builder.Output())


def _executable(kind: int, parameters: int) -> bytes:
    builder = flatbuffers.Builder(1024)
    content = builder.CreateByteVector(bytes(parameters))
    builder.StartObject(15)
    builder.PrependUOffsetTRelativeSlot(6, content, 0)
    builder.PrependInt8Slot(13, kind, 0)
    builder.PrependUint64Slot(14, 7, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())
