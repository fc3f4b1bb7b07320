"""TFLite files as object trees: the element types, and writing a tree back to bytes.

Both the compiler (which writes segments) and the executable format (which wraps them) need these
few facts, so they live below both.  Object trees are ``ModelT`` and friends of
``ai_edge_litert.schema_py_generated``; they are typed ``Any`` because that module has no types.
The package ``tflite`` has no object trees, and its 2.18 lacks the element types from INT2 on; it
reads where neither is needed (:mod:`devices.executable.file`).
"""

from __future__ import annotations

import struct
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers.builder import BuilderSizeError

from devices.errors import ModelError

FILE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every TFLite file (TFLite schema, ``file_identifier``)."""

CUSTOM = int(schema.BuiltinOperator.CUSTOM)
"""The builtin code that says: look at ``custom_code`` instead."""

_ALIGNMENT = 16
_LAST_BYTE_CODE = 127  # operator codes above it do not fit the deprecated one-byte field

TYPE_NAMES: dict[int, str] = {
    value: name.lower()
    for name, value in vars(schema.TensorType).items()
    if isinstance(value, int) and not name.startswith("_")
}
"""TFLite element type to its lower-case name, for example ``9 -> "int8"``."""

_NUMPY_NAMES = frozenset(
    {
        *("float16", "float32", "float64", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    }
)

_ODD_BITS = {"bfloat16": 16, "float8_e4m3fn": 8, "float8_e5m2": 8, "int4": 4, "uint4": 4, "int2": 2}


def numpy_name(element_type: int) -> str | None:
    """The numpy dtype name of a TFLite element type, ``None`` where numpy has no such type."""
    name = TYPE_NAMES.get(element_type, "")
    return name if name in _NUMPY_NAMES else None


def element_bits(element_type: int) -> int | None:
    """Bits per element, ``None`` for strings, resources and variants, which have no fixed size."""
    name = TYPE_NAMES.get(element_type, "")
    if name in _NUMPY_NAMES:
        return np.dtype(name).itemsize * 8
    return _ODD_BITS.get(name)


class AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A constant whose bytes start at a multiple of 16 in the file.

    The schema asks for it (``force_align``), the generated writer ignores it; aligned constants
    can be mapped into memory and used where they lie.
    """

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the schema's name
        """Write the constant; the flatbuffer grows from its end, so the data goes in first."""
        vector = None
        if self.data is not None and len(self.data):
            content = np.ascontiguousarray(self.data, dtype=np.uint8)
            builder.StartVector(1, content.size, _ALIGNMENT)
            start = builder.head - content.size
            builder.head = start
            _put(builder, start, content)
            builder.vectorNumElems = content.size
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


def _put(builder: Any, start: int, content: Any) -> None:
    """Copy an array of bytes into a builder; a bytearray itself would copy it twice."""
    with memoryview(builder.Bytes) as place:
        place[start : start + content.size] = content.data


def aligned_buffer(data: Any = None) -> AlignedBuffer:
    """A buffer holding ``data`` (bytes or a uint8 array); empty when ``None``."""
    buffer = AlignedBuffer()
    if data is not None:
        buffer.data = (
            np.frombuffer(data, np.uint8) if not isinstance(data, np.ndarray) else data.reshape(-1)
        )
    return buffer


def operator_code(builtin: int, custom_code: bytes | None = None, version: int = 1) -> Any:
    """An operator code with both its old and its new field filled in, as readers of either need."""
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(builtin, _LAST_BYTE_CODE)
    code.customCode = custom_code
    code.version = version
    return code


def effective_code(code: Any) -> int:
    """The builtin code of an operator code, whichever of the two fields its writer used."""
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Writes long lists of bytes without copying them first."""

    def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802 - the library's name
        if x.dtype != np.uint8:
            return int(super().CreateNumpyVector(x))
        content = np.ascontiguousarray(x)
        self.StartVector(1, content.size, 1)
        start = int(self.Head()) - content.size
        self.head = start
        _put(self, start, content)
        self.vectorNumElems = content.size
        return int(self.EndVector())


def pack_model(model: Any) -> bytes:
    """The bytes of a ``ModelT`` tree.  Raises as :func:`packed`."""
    return bytes(packed(model))


def packed(model: Any) -> bytearray:
    """The same where it was written, which spares a copy of a large model.

    The builder is sized beforehand: growing it would copy every constant several times.  Raises
    ``ModelError`` for more than a file can hold.
    """
    size = 4096
    for buffer in model.buffers or ():
        size += 64 + (0 if buffer.data is None else len(buffer.data))
    for subgraph in model.subgraphs or ():
        size += 512 * len(subgraph.tensors or ()) + 256 * len(subgraph.operators or ())
        for operator in subgraph.operators or ():
            size += 0 if operator.customOptions is None else len(operator.customOptions)
    most = int(_Builder.MAX_BUFFER_SIZE)
    try:
        builder = _Builder(min(size, most))
        builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    except (BuilderSizeError, ValueError, struct.error) as error:
        if size < most:
            raise
        raise ModelError(
            f"The file to be written would have about {size:,} bytes, but a .tflite file holds "
            f"{most:,} at most; cut the model into segments (--num_segments)."
        ) from error
    content: bytearray = builder.Bytes
    del content[: builder.head]  # moves nothing: a bytearray may begin later
    return content
