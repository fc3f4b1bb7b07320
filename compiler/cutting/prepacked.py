"""Tensors and operators of a graph as bytes, ready to be put into any segment's file.

Writing a flatbuffer field by field takes most of the time of cutting a segment, and the same
tensors and operators are written again for every segment.  A table that is written once, alone,
can be copied into another buffer as it is: offsets inside it are relative, and it keeps its
alignment at any multiple of 16 (FlatBuffers, internals: tables, vtables, vectors).  Only the
indices into the segment's own lists have to be filled in.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import flatbuffers
from flatbuffers.table import Table

from compiler.graph import Graph

_ALIGNMENT = 16

# Places of fields in a vtable: 4 + 2 x field number in the TFLite schema.
_TENSOR_BUFFER = 8
_OPCODE_INDEX, _INPUTS, _OUTPUTS, _INTERMEDIATES = 4, 6, 8, 20

_PRESENT = 1
"""Written for indices that are filled in later: a field with the default value is left out."""


@dataclass(frozen=True)
class _Block:
    """A table and all it refers to; ``table`` is where in ``content`` the table itself begins."""

    content: bytes
    table: int

    @classmethod
    def of(cls, tree: Any) -> _Block:
        builder = flatbuffers.Builder(512)
        builder.Finish(tree.Pack(builder))
        written = bytes(builder.Output())
        pad = -len(written) % _ALIGNMENT
        return cls(bytes(pad) + written, pad + int(struct.unpack_from("<I", written)[0]))

    def field(self, slot: int) -> int | None:
        """Where a field's value begins, ``None`` if it is not there."""
        at = Table(self.content, self.table).Offset(slot)
        return None if at == 0 else self.table + int(at)

    def vector(self, slot: int) -> int:
        """Where the elements of a vector field begin; 0 if there is none."""
        at = self.field(slot)
        return 0 if at is None else at + int(struct.unpack_from("<I", self.content, at)[0]) + 4

    def put(self, builder: Any) -> int:
        """Copy the block into a buffer, which grows from its end; returns where it begins."""
        builder.Prep(_ALIGNMENT, len(self.content))
        start = int(builder.head) - len(self.content)
        builder.head = start
        builder.Bytes[start : start + len(self.content)] = self.content
        return start


@dataclass
class PackedTensor:
    """Stands for a ``TensorT`` in a tree that is only packed: all but the number of its buffer."""

    block: _Block
    at: int
    buffer: int

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the schema's name
        start = self.block.put(builder)
        struct.pack_into("<I", builder.Bytes, start + self.at, self.buffer)
        return int(builder.Offset()) - self.block.table


@dataclass
class PackedOperator:
    """Stands for an ``OperatorT``: all but the number of its code and those of its tensors.

    Lists of tensors must be as long as they were.
    """

    block: _Block
    places: tuple[int, int, int, int]
    opcodeIndex: int  # noqa: N815 - the schema's name
    inputs: Sequence[int]
    outputs: Sequence[int]
    intermediates: Sequence[int]
    customOptions: None = None  # noqa: N815 - what it needs is in the block

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the schema's name
        start = self.block.put(builder)
        code, *places = self.places
        struct.pack_into("<I", builder.Bytes, start + code, self.opcodeIndex)
        lists = (self.inputs, self.outputs, self.intermediates)
        for place, numbers in zip(places, lists, strict=True):
            if len(numbers):
                struct.pack_into(f"<{len(numbers)}i", builder.Bytes, start + place, *numbers)
        return int(builder.Offset()) - self.block.table


class Prepacked:
    """The blocks of one graph, each made when it is first asked for."""

    def __init__(self) -> None:
        self._tensors: dict[int, tuple[_Block, int]] = {}
        self._operators: dict[int, tuple[_Block, tuple[int, int, int, int]]] = {}

    def tensor(self, original: Any, index: int, name: str, buffer: int) -> PackedTensor:
        """Tensor ``index`` of the graph, ``original`` in its tree, as ``name``."""
        if index not in self._tensors:
            tensor = copy.copy(original)
            tensor.name, tensor.buffer = name, _PRESENT
            block = _Block.of(tensor)
            at = block.field(_TENSOR_BUFFER)
            assert at is not None, "it was written"
            self._tensors[index] = block, at
        return PackedTensor(*self._tensors[index], buffer)

    def operator(
        self,
        original: Any,
        index: int,
        code: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        intermediates: Sequence[int],
    ) -> PackedOperator:
        """The operator at ``index`` of the file, with other tensors, as many as it had."""
        if index not in self._operators:
            operator = copy.copy(original)
            operator.opcodeIndex = _PRESENT
            operator.debugMetadataIndex = -1
            block = _Block.of(operator)
            at = block.field(_OPCODE_INDEX)
            assert at is not None, "it was written"
            self._operators[index] = (
                block,
                (at, block.vector(_INPUTS), block.vector(_OUTPUTS), block.vector(_INTERMEDIATES)),
            )
        block, places = self._operators[index]
        return PackedOperator(block, places, code, inputs, outputs, intermediates)


_of_graph: WeakKeyDictionary[Graph, Prepacked] = WeakKeyDictionary()


def prepacked(graph: Graph) -> Prepacked:
    """The blocks of a graph, kept as long as it is."""
    return _of_graph.setdefault(graph, Prepacked())
