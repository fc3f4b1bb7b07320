"""From the bytes of a model to the object tree of the schema, which cuts copy from.

The tree is that of ``ai_edge_litert``, not of the package ``tflite``, though it is read here: what
is read is written again by every cut, and ``tflite`` has readers only.  Making all of it at once
also finds damage in the options of operators, and that schema knows the newest operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from compiler.deadline import Deadline
from compiler.reading.refusal import text, unsound
from devices.errors import ModelError
from devices.executable import DamageError, check_structure, tflite_file

_LFS_POINTER = b"version https://git-lfs."
"""What a pointer begins with (the specification of Git LFS)."""

_INLINE_OFFSET = 1  # an offset of 0 or 1 means: stored in the flatbuffer, not behind it


def read_tree(name: str, data: bytes, deadline: Deadline) -> tuple[Any, bytes]:
    """The ``ModelT`` of a file, its first subgraph alone, all its bytes at hand; and what follows.

    Constants and options stored behind the flatbuffer are where all others are.  ``name`` is what
    messages call the model.  Raises ``ModelError``.
    """
    model, attached = read_whole_tree(name, data, deadline)
    keep_first(name, model)
    return model, attached


def keep_first(name: str, model: Any) -> None:
    """Leave a tree its first subgraph alone.  Raises ``ModelError`` if that runs others."""
    subgraphs = model.subgraphs
    if len(subgraphs) > 1:
        _refuse_calls(name, model, subgraphs[0])
        model.subgraphs = subgraphs[:1]  # nobody runs the others
    if not subgraphs[0].operators:
        raise unsound(name, "the model has no operators, there is nothing to run")


def read_whole_tree(name: str, data: bytes, deadline: Deadline) -> tuple[Any, bytes]:
    """The same with all its subgraphs, whatever they do; there is at least one.

    Raises ``ModelError``.
    """
    model, end = _parse(name, data, deadline)
    if not model.subgraphs:
        raise unsound(name, "the model has no subgraph, there is nothing to run")
    for subgraph in model.subgraphs:
        subgraph.operators = subgraph.operators or []
        subgraph.tensors = subgraph.tensors or []
    model.buffers = model.buffers or []
    end = max(end, _fetch_outside_data(name, model, data))
    return model, data[end:] if any(data[end:]) else b""


def _refuse_calls(name: str, model: Any, subgraph: Any) -> None:
    """Other subgraphs do no harm unless an operator runs them."""
    for index, operator in enumerate(subgraph.operators or []):
        for options in (operator.builtinOptions, operator.builtinOptions2):
            for field, value in vars(options).items() if options is not None else ():
                if field.lower().endswith("subgraphindex") or field == "subgraph":
                    called = int(value)
                    if 0 < called < len(model.subgraphs):
                        raise unsound(
                            name,
                            f"operator {index} ({_kind(model, operator)}) runs subgraph {called}"
                            f"{_named(model.subgraphs[called])}, but control flow and composites "
                            "can neither be cut nor compiled; convert the model without them",
                        )


def _kind(model: Any, operator: Any) -> str:
    if not 0 <= operator.opcodeIndex < len(model.operatorCodes or []):
        return "of an unknown kind"
    code = tflite_file.effective_code(model.operatorCodes[operator.opcodeIndex])
    names = {number: kind for kind, number in vars(schema.BuiltinOperator).items()}
    return str(names.get(code, code))


def _named(subgraph: Any) -> str:
    name = text(subgraph.name)
    return f" ({name!r})" if name else ""


class _Watched:
    """A table of the file that looks at the deadline whenever an entry of it is read.

    The generated code that unpacks a table, with all that hangs on it, has no other place for it.
    It also takes each entry twice, to see that it is there and to unpack it; here it is read once.
    """

    def __init__(self, table: Any, deadline: Deadline) -> None:
        self._table = table
        self._deadline = deadline

    def __getattr__(self, name: str) -> Callable[..., Any]:
        read = getattr(self._table, name)
        last_index: tuple[int, ...] | None = None
        last_entry: Any = None

        def entry(*index: int) -> Any:
            nonlocal last_index, last_entry
            if index != last_index:
                self._deadline.check()
                found = read(*index)
                is_subgraph = isinstance(found, schema.SubGraph)
                last_entry = _Watched(found, self._deadline) if is_subgraph else found
                last_index = index
            return last_entry

        setattr(self, name, entry)
        return entry


def _parse(name: str, data: bytes, deadline: Deadline) -> tuple[Any, int]:
    """The tree, and where the flatbuffer ends."""
    if data.startswith(_LFS_POINTER):
        raise unsound(
            name,
            "this is not the model but a pointer to it, left by a clone without Git LFS; run "
            "'git lfs pull' there, or fetch the file itself",
        )
    if data[4:8] != tflite_file.FILE_IDENTIFIER:
        raise unsound(
            name,
            f"this is not a .tflite file: bytes 4 to 8 are {bytes(data[4:8])!r} where "
            f"{tflite_file.FILE_IDENTIFIER!r} is expected",
        )
    try:
        end = check_structure(data, deadline.check)
    except DamageError as error:
        raise unsound(
            name, f"the file is truncated or damaged ({error}); fetch or convert it again"
        ) from None
    try:
        watched = _Watched(schema.Model.GetRootAs(data, 0), deadline)
        return schema.ModelT.InitFromObj(watched), end
    except ModelError:
        raise
    except Exception as error:
        # Only option tables are left to go wrong; the generated reader has no error of its
        # own, so damage there can surface as any exception.
        raise unsound(
            name,
            f"the options of an operator are damaged ({type(error).__name__}: {error}); "
            "fetch or convert the file again",
        ) from None


def _fetch_outside_data(name: str, model: Any, data: bytes) -> int:
    """Make constants and options stored behind the flatbuffer look like all others.

    Returns where the last of them ends, 0 if there are none.
    """
    end = 0
    if model.externalBuffers or model.externalBufferGroups:
        raise unsound(name, "its constants are in other files, a self-contained model is needed")
    everything = np.frombuffer(data, np.uint8)
    for index, buffer in enumerate(model.buffers):
        if buffer.offset > _INLINE_OFFSET:
            buffer.data = _slice(name, everything, buffer.offset, buffer.size, f"buffer {index}")
            end = max(end, buffer.offset + buffer.size)
        buffer.offset = buffer.size = 0
    everyone = [one for subgraph in model.subgraphs for one in subgraph.operators]
    for index, operator in enumerate(everyone):
        if operator.largeCustomOptionsOffset > _INLINE_OFFSET:
            operator.customOptions = _slice(
                name,
                everything,
                operator.largeCustomOptionsOffset,
                operator.largeCustomOptionsSize,
                f"the options of operator {index}",
            )
            end = max(end, operator.largeCustomOptionsOffset + operator.largeCustomOptionsSize)
        operator.largeCustomOptionsOffset = operator.largeCustomOptionsSize = 0
    return end


def _slice(
    name: str, everything: NDArray[np.uint8], start: int, size: int, what: str
) -> NDArray[np.uint8]:
    if start + size > everything.size:
        raise unsound(
            name,
            f"the file is truncated: {what} lies at byte {start}..{start + size}, "
            f"but the file ends at byte {everything.size}",
        )
    return everything[start : start + size]
