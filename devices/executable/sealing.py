"""The executable file: what it looks like, and writing one.

An executable is a ``.tflite`` file that any TFLite tool can open and look at::

    with mapped operators                      with CPU operators only
    ─────────────────────                      ───────────────────────
    inputs                                     inputs
      │ CPU operators, if any (the head)         │ CPU operators
      │ edgetpu-custom-op                        │
      │   custom options: FlexBuffer map         │
      │ CPU operators, if any (the tail)       outputs
    outputs                                    metadata "edgetpu-pipeline": the same map

The FlexBuffer map, with the seal in front of it (such a map is read from its end), holds

    ``mapped_model``            the mapped operators as a complete ``.tflite`` (absent on the right)
    ``format_version``, ``min_runtime_version``, ``caching_token``, ``on_chip_offset_bytes``,
    ``instruction_bytes``, ``available_on_chip_bytes``     see :class:`ExecutableInfo`
    ``operators``               the work and parameter table, one list per column

The seal is 32 marker bytes and the SHA-256 of the map.  It covers that package and nothing else, so
that other tools may add metadata, append operators and attach files; a flipped bit in the package
is found before it is looked at, one in the weights of CPU operators is not found.  That the tensors
around the custom operator are those of its package is seen by comparing the two.

It is written with the schema of ``ai_edge_litert``, which has object trees that can be written.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from devices.executable import tflite_file
from devices.executable.description import (
    CUSTOM_OPERATOR,
    FORMAT_VERSION,
    ExecutableInfo,
    OperatorWork,
)

METADATA_NAME = "edgetpu-pipeline"
"""Metadata entry that describes an executable in which no operator is mapped."""

MARKER = hashlib.sha256(b"edgetpu-pipeline: the digest of this file follows").digest()
"""What a package begins with; format 1 has it inside."""

DIGEST_BYTES = 32
"""A SHA-256."""

_TEXT_COLUMNS = ("name", "target")
NUMBER_COLUMNS = tuple(
    field.name
    for field in dataclasses.fields(OperatorWork)
    if field.name not in (*_TEXT_COLUMNS, "on_chip")
)
"""Columns of the operator table that hold numbers, named as the fields of ``OperatorWork``."""

INFO_NUMBERS = (
    "min_runtime_version",
    "caching_token",
    "on_chip_offset_bytes",
    "instruction_bytes",
    "available_on_chip_bytes",
)
"""Numbers of the map, named as the fields of ``ExecutableInfo``."""


def seal(
    info: ExecutableInfo,
    frame: Any,
    *,
    mapped_model: bytes | bytearray | None = None,
    mapped_inputs: Sequence[int] = (),
    mapped_outputs: Sequence[int] = (),
    position: int = 0,
) -> bytes:
    """The bytes of an executable file.

    ``frame`` is the schema object tree (``ModelT``, one subgraph) of the CPU operators with the
    inputs and outputs of the whole executable; it is taken over and changed.  With a
    ``mapped_model``, the custom operator is put behind the first ``position`` of them, reading and
    making the frame's tensors ``mapped_inputs`` and ``mapped_outputs``.  The same arguments give
    the same bytes.
    """
    description = np.frombuffer(sealed(_describe(info, mapped_model)), np.uint8)
    is_mapped = mapped_model is not None
    del mapped_model  # which takes as much memory as the description it has become part of
    subgraph = frame.subgraphs[0]
    if not is_mapped:
        entry = schema.MetadataT()
        entry.name = METADATA_NAME
        entry.buffer = len(frame.buffers)
        frame.buffers.append(tflite_file.aligned_buffer(description))
        frame.metadata = [*(frame.metadata or ()), entry]
    else:
        operator = schema.OperatorT()
        operator.opcodeIndex = len(frame.operatorCodes)
        operator.inputs = np.array(mapped_inputs, np.int32)
        operator.outputs = np.array(mapped_outputs, np.int32)
        operator.customOptions = description
        frame.operatorCodes.append(
            tflite_file.operator_code(tflite_file.CUSTOM, CUSTOM_OPERATOR.encode())
        )
        subgraph.operators.insert(position, operator)
    content = tflite_file.packed(frame)
    if is_mapped:
        operator.customOptions = None
    del description  # written
    return bytes(content)


def sealed(content: bytearray) -> bytearray:
    """The content of a package behind its seal, which is put in front of it where it is."""
    content[:0] = MARKER + hashlib.sha256(content).digest()
    return content


class _Builder(flexbuffers.Builder):  # type: ignore[misc]
    """Reads a key alone, not with all that lies behind it: a copy of the whole model."""

    def _ReadKey(self, offset: int) -> bytes:  # noqa: N802 - the library's name
        return bytes(self._buf[offset : self._buf.index(0, offset)])


def _describe(info: ExecutableInfo, mapped_model: bytes | bytearray | None) -> bytearray:
    """The FlexBuffer map.

    The large blob goes first: the Python reader copies the rest of the file for every key it
    looks at, and so copies little.
    """
    builder = _Builder()
    with builder.Map():
        if mapped_model is not None:
            builder.Blob("mapped_model", mapped_model)
        builder.UInt("format_version", FORMAT_VERSION)
        for field in INFO_NUMBERS:
            builder.UInt(field, getattr(info, field))
        builder.Key("operators")
        with builder.Map():
            for field in _TEXT_COLUMNS:
                builder.Key(field)
                with builder.Vector():
                    for work in info.operators:
                        builder.String(getattr(work, field))
            for field in (*NUMBER_COLUMNS, "on_chip"):
                builder.Key(field)
                with builder.Vector():
                    for work in info.operators:
                        builder.UInt(int(getattr(work, field)))
    content: bytearray = builder.Finish()
    return content
