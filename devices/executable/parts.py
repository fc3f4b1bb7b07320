"""The CPU operators in front of, between and behind the custom operators, as models of their own.

They are written with the schema of ``ai_edge_litert``, whose object trees can be written.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from devices.executable import tflite_file
from devices.executable.surroundings import damaged


def cpu_model(data: bytes, places: range, path: Path) -> bytes | None:
    """The operators at these places as a model; ``None`` if there are none.

    What those in front of them have made becomes an input of theirs, and so do inputs of the file
    that they read.  Outputs are those of the file that they make, and what others read.  To the
    last of all operators also belong inputs of the file that nobody in front reads, needed or not,
    and outputs of the file that are its inputs.  Raises ``ModelError`` where an operator is
    damaged.
    """
    if not places:
        return None
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        _keep(model, places)
        return tflite_file.pack_model(model)
    except Exception as error:
        # Only the options of operators are left to go wrong, for which the schema has no error.
        raise damaged(
            path, f"options of an operator cannot be read: {type(error).__name__}: {error}"
        ) from None


def _keep(model: Any, places: range) -> None:
    """Take everything else out of the tree."""
    subgraph = model.subgraphs[0]
    everyone = subgraph.operators
    before = everyone[: places.start]
    mine = everyone[places.start : places.stop]
    file_in, file_out = _ints(subgraph.inputs), _ints(subgraph.outputs)
    read, made = _read(mine), _made(mine)
    given = _made(before)
    if places.stop == len(everyone):
        passed = [t for t in file_out if t not in given]
        known = _read(before)
        inputs = [t for t in file_in if t in read or t in passed or t not in known]
        outputs = passed
    else:
        inputs = [t for t in file_in if t in read]
        wanted = _read(everyone[places.stop :])
        outputs = [t for t in made if t in wanted or t in file_out]
    inputs += [t for t in given if t in read]
    subgraph.operators = mine
    subgraph.inputs = np.array(inputs, np.int32)
    subgraph.outputs = np.array(outputs, np.int32)
    model.buffers = [tflite_file.aligned_buffer(buffer.data) for buffer in model.buffers]
    model.metadata = model.metadataBuffer = model.signatureDefs = None  # they speak of the whole


def _read(operators: Iterable[Any]) -> set[int]:
    return {index for operator in operators for index in _ints(operator.inputs)}


def _made(operators: Iterable[Any]) -> list[int]:
    return [index for operator in operators for index in _ints(operator.outputs)]


def _ints(indices: Any) -> list[int]:
    return [] if indices is None else [int(index) for index in indices]
