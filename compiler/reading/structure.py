"""Is this file a TFLite flatbuffer at all, down to its last offset?

The Python flatbuffer reader follows whatever offsets it finds.  In a damaged file that ends in
any of a dozen exceptions, in a reader busy for minutes with a vector of a billion tables, or,
worst, in a model that reads fine and is wrong.  So every offset of every table the compiler
reads is checked here first, against the length of the file and against a budget of work.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import NamedTuple

from compiler.deadline import Deadline

_U16 = struct.Struct("<H").unpack_from
_U32 = struct.Struct("<I").unpack_from
_I32 = struct.Struct("<i").unpack_from

_ATTACHED = re.compile(rb"\x00*(PK\x03\x04)").match  # a zip archive, behind padding

_MAX_TABLES = 1_000_000  # the limit of the C++ flatbuffer verifier
_TEXT_BUDGET_FACTOR = 16  # names may be shared, but not so that they outgrow the file manyfold


class DamageError(Exception):
    """The file breaks off or points outside itself; the message says where."""


class _Field(NamedTuple):
    """Kind of a field: ``scalar`` (inline), ``text``, ``vector``, ``table``, ``tables``."""

    kind: str
    size: int = 0
    table: str = ""


def _scalar(size: int) -> _Field:
    return _Field("scalar", size)


_TEXT = _Field("text")
_INTS = _Field("vector", 4)
_LONGS = _Field("vector", 8)
_BYTES = _Field("vector", 1)


def _table(name: str) -> _Field:
    return _Field("table", table=name)


def _tables(name: str) -> _Field:
    return _Field("tables", table=name)


# Fields by slot number, from the public TFLite schema (schema.fbs).  "Options" stands for every
# table of a union: only its frame is checked, for all that is read of it are inline numbers and
# short vectors.
_LAYOUT: Mapping[str, tuple[_Field, ...]] = {
    "Model": (
        _scalar(4),
        _tables("OperatorCode"),
        _tables("SubGraph"),
        _TEXT,
        _tables("Buffer"),
        _INTS,
        _tables("Metadata"),
        _tables("Signature"),
        _tables("Options"),
        _tables("Options"),
    ),
    "OperatorCode": (_scalar(1), _TEXT, _scalar(4), _scalar(4)),
    "SubGraph": (_tables("Tensor"), _INTS, _INTS, _tables("Operator"), _TEXT, _scalar(4)),
    "Tensor": (
        _INTS,
        _scalar(1),
        _scalar(4),
        _TEXT,
        _table("Quantization"),
        _scalar(1),
        _table("Options"),
        _INTS,
        _scalar(1),
        _tables("Options"),
        _scalar(4),
    ),
    "Quantization": (_INTS, _INTS, _INTS, _LONGS, _scalar(1), _table("Options"), _scalar(4)),
    "Operator": (
        _scalar(4),
        _INTS,
        _INTS,
        _scalar(1),
        _table("Options"),
        _BYTES,
        _scalar(1),
        _BYTES,
        _INTS,
        _scalar(8),
        _scalar(8),
        _scalar(1),
        _table("Options"),
        _scalar(4),
    ),
    "Buffer": (_BYTES, _scalar(8), _scalar(8)),
    "Metadata": (_TEXT, _scalar(4)),
    "Signature": (_tables("NamedTensor"), _tables("NamedTensor"), _TEXT, _TEXT, _scalar(4)),
    "NamedTensor": (_TEXT, _scalar(4)),
    "Options": (),
}


class _Walk:
    """One pass over the tables of a file, remembering how far into it they reach."""

    def __init__(self, data: bytes, deadline: Deadline) -> None:
        self._data = data
        self._deadline = deadline
        self._size = len(data)
        self._tables_left = _MAX_TABLES
        self._text_left = max(1 << 20, _TEXT_BUDGET_FACTOR * len(data))
        self.end = 0

    def _inside(self, start: int, size: int, what: str) -> None:
        if start < 0 or start + size > self._size:
            raise DamageError(
                f"{what} lies at byte {start}..{start + size}, "
                f"but the file ends at byte {self._size}"
            )
        if start + size > self.end:
            self.end = start + size

    def _target(self, position: int) -> int:
        return position + int(_U32(self._data, position)[0])

    def table(self, position: int, name: str) -> None:
        """Check the table at ``position``, then everything it points to."""
        self._deadline.check()
        self._tables_left -= 1
        if self._tables_left < 0:
            raise DamageError(f"it holds more than {_MAX_TABLES} tables")
        data = self._data
        self._inside(position, 4, name)
        vtable = position - _I32(data, position)[0]
        self._inside(vtable, 4, f"the field list of {name}")
        vtable_size = _U16(data, vtable)[0]
        table_size = _U16(data, vtable + 2)[0]
        if vtable_size < 4 or vtable_size % 2 or table_size < 4:
            raise DamageError(f"the field list of {name} at byte {vtable} makes no sense")
        self._inside(vtable, vtable_size, f"the field list of {name}")
        self._inside(position, table_size, name)
        fields = _LAYOUT[name]
        for slot in range(min(len(fields), (vtable_size - 4) // 2)):
            offset = _U16(data, vtable + 4 + 2 * slot)[0]
            if offset:
                field = fields[slot]
                width = field.size if field.kind == "scalar" else 4
                if offset + width > table_size:
                    raise DamageError(f"field {slot} of {name} lies outside its table")
                if field.kind != "scalar":
                    self._follow(position + offset, field, name)

    def _follow(self, position: int, field: _Field, name: str) -> None:
        target = self._target(position)
        if field.kind == "table":
            self.table(target, field.table)
            return
        self._inside(target, 4, f"a list in {name}")
        length = _U32(self._data, target)[0]
        start = target + 4
        if field.kind == "vector":
            self._inside(start, length * field.size, f"a list in {name}")
        elif field.kind == "text":
            self._inside(start, length + 1, f"a text in {name}")
            self._text_left -= length
            if self._data[start + length] or self._text_left < 0:
                raise DamageError(f"a text in {name} at byte {start} does not end where it says")
        else:
            self._inside(start, 4 * length, f"the list of {field.table}s")
            for index in range(length):
                self.table(self._target(start + 4 * index), field.table)


def check_structure(data: bytes, deadline: Deadline) -> None:
    """Raise :class:`DamageError` unless ``data`` is a complete TFLite flatbuffer.

    Raises ``ModelError`` once the deadline has passed.

    A zip archive may follow the flatbuffer (TFLite metadata attaches label files so); a file cut
    off inside that archive is damaged too.
    """
    walk = _Walk(data, deadline)
    try:
        walk.table(int(_U32(data, 0)[0]), "Model")
    except struct.error:
        raise DamageError(f"an offset points past the end at byte {len(data)}") from None
    attached = _ATTACHED(data, walk.end)
    if attached is not None and not zipfile.is_zipfile(io.BytesIO(data[attached.start(1) :])):
        raise DamageError("the files attached behind the model break off")
