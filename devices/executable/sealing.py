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

Behind the tail another custom operator may follow, and so on: one for each part.

The FlexBuffer map, with the seal in front of it (such a map is read from its end), holds

    ``mapped_model``            the mapped operators as a complete ``.tflite`` (absent on the right)
    ``format_version``, ``min_runtime_version``, ``caching_token``, ``on_chip_offset_bytes``,
    ``instruction_bytes``, ``available_on_chip_bytes``     see :class:`ExecutableInfo`
    ``operators``               the work and parameter table, one list per column

The seal is 32 marker bytes and the SHA-256 of the map.  It covers a package and nothing else, so
that other tools may add metadata, append operators and attach files; a flipped bit in the package
is found before it is looked at, one in the weights of CPU operators is not found.  That the tensors
around the custom operator are those of its package is seen by comparing the two.

It is written with the schema of ``ai_edge_litert``, which has object trees that can be written.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Package:
    """A part to be sealed: its description and model, and where it goes in the frame.

    Its custom operator is put behind the first ``position`` operators of the frame, reading and
    making the frame's tensors ``inputs`` and ``outputs``.  Without a model, where nothing is
    mapped, there is no custom operator.
    """

    info: ExecutableInfo
    model: bytes | bytearray | None = None
    inputs: Sequence[int] = ()
    outputs: Sequence[int] = ()
    position: int = 0


def seal(frame: Any, packages: Iterable[Package]) -> bytes:
    """The bytes of an executable file.

    ``frame`` is the schema object tree (``ModelT``, one subgraph) of the CPU operators with the
    inputs and outputs of the whole executable; it is taken over and changed.  The packages are in
    the order in which they run; they are taken one by one, for a package takes as much memory as
    the description it becomes part of.  The same arguments give the same bytes.
    """
    operators = frame.subgraphs[0].operators
    code = len(frame.operatorCodes)
    inserted: list[Any] = []
    for package in packages:
        description = np.frombuffer(sealed(_describe(package.info, package.model)), np.uint8)
        if package.model is None:
            entry = schema.MetadataT()
            entry.name = METADATA_NAME
            entry.buffer = len(frame.buffers)
            frame.buffers.append(tflite_file.aligned_buffer(description))
            frame.metadata = [*(frame.metadata or ()), entry]
        else:
            operator = schema.OperatorT()
            operator.opcodeIndex = code
            operator.inputs = np.array(package.inputs, np.int32)
            operator.outputs = np.array(package.outputs, np.int32)
            operator.customOptions = description
            operators.insert(package.position + len(inserted), operator)
            inserted.append(operator)
        del package, description
    if inserted:
        frame.operatorCodes.append(
            tflite_file.operator_code(tflite_file.CUSTOM, CUSTOM_OPERATOR.encode())
        )
    content = tflite_file.packed(frame)
    for operator in inserted:
        operator.customOptions = None  # written
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
