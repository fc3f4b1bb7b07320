"""What surrounds the sealed part of an executable: an ordinary model, which others may change.

Nothing seals it, so it is not trusted: every offset and every index is checked before it is
followed, and whoever reads on meets sizes that make sense.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tflite

from devices.errors import ModelError
from devices.executable import tflite_file
from devices.executable.structure import DamageError, check_structure

_MAX_TENSOR_BYTES = 1 << 31  # what a flatbuffer, and so any tensor shipped in one, can hold
_INLINE_OFFSET = 1  # an offset of 0 or 1 means: stored in the flatbuffer, not behind it


def open_surroundings(data: bytes, path: Path) -> Any:
    """The ``tflite.Model`` of a file, safe to be read.  Raises ``ModelError``."""
    try:
        if data[4:8] != tflite_file.FILE_IDENTIFIER:
            raise DamageError(f"bytes 4 to 8 are {data[4:8]!r}")
        check_structure(data)
        model = tflite.Model.GetRootAs(data, 0)
        for found in _damage(model):
            raise DamageError(found)
    except DamageError as error:
        raise damaged(path, str(error)) from None
    return model


def damaged(path: Path, found: str) -> ModelError:
    """The error to raise for an executable whose surroundings are not sound."""
    return ModelError(f"{path} is damaged ({found}); compile it again.")


def _damage(model: Any) -> Iterator[str]:
    """What is wrong, in words; tables are looked at in the order of what refers to them."""
    if not model.SubgraphsLength():
        yield "it has no subgraph"
    buffers = model.BuffersLength()
    for index in range(buffers):
        if model.Buffers(index).Offset() > _INLINE_OFFSET:
            yield f"buffer {index} is stored behind the flatbuffer, which no executable does"
    for index in range(model.MetadataLength()):
        if model.Metadata(index).Buffer() >= buffers:
            yield f"metadata {index} is in buffer {model.Metadata(index).Buffer()} of {buffers}"
    for number in range(model.SubgraphsLength()):
        subgraph = model.Subgraphs(number)
        for index in range(subgraph.TensorsLength()):
            yield from _damage_of_tensor(subgraph.Tensors(index), index, buffers)
        count = subgraph.TensorsLength()
        for what, found in (
            ("input", subgraph.InputsAsNumpy()),
            ("output", subgraph.OutputsAsNumpy()),
        ):
            yield from _outside(f"{what} of the graph", found, 0, count)
        for index in range(subgraph.OperatorsLength()):
            operator = subgraph.Operators(index)
            if operator.OpcodeIndex() >= model.OperatorCodesLength():
                yield f"operator {index} has code {operator.OpcodeIndex()}, which is not listed"
            if operator.LargeCustomOptionsOffset() > _INLINE_OFFSET:
                yield f"options of operator {index} are stored behind the flatbuffer"
            for found, first in (
                (operator.InputsAsNumpy(), -1),  # an optional input may be left out
                (operator.OutputsAsNumpy(), 0),
                (operator.IntermediatesAsNumpy(), -1),
            ):
                yield from _outside(f"operator {index}", found, first, count)


def _damage_of_tensor(tensor: Any, index: int, buffers: int) -> Iterator[str]:
    if tensor.Buffer() >= max(1, buffers):
        yield f"tensor {index} is in buffer {tensor.Buffer()} of {buffers}"
    size_bytes = (tflite_file.element_bits(tensor.Type()) or 0) / 8
    for axis in range(tensor.ShapeLength()):
        if tensor.Shape(axis) < 0:
            yield f"tensor {index} has {tensor.Shape(axis)} elements along axis {axis}"
        size_bytes *= tensor.Shape(axis)
    if size_bytes > _MAX_TENSOR_BYTES:
        yield f"tensor {index} has {size_bytes:.4g} bytes"


def _outside(what: str, found: Any, first: int, count: int) -> Iterator[str]:
    for index in () if isinstance(found, int) else found:  # 0 stands for a list that is not there
        if not first <= index < count:
            yield f"{what} names tensor {index} of {count}"
