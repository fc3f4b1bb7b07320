"""The CPU operators in front of and behind the custom operator, as models of their own.

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


def part(data: bytes, places: range, behind: Iterable[int], path: Path) -> bytes | None:
    """The operators at these places as a model; ``None`` if there are none.

    What those ``behind`` which they stand have made becomes an input of theirs, and so do inputs
    of the file that they read.  Outputs are those of the file that they make, and what others
    read.  In a tail, inputs of the file that nobody in front reads belong to it, needed or not,
    and so do outputs of the file that are its inputs.  Raises ``ModelError`` where an operator is
    damaged.
    """
    if not places:
        return None
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        _keep(model, places, behind)
        return tflite_file.pack_model(model)
    except Exception as error:
        # Only the options of operators are left to go wrong, for which the schema has no error.
        raise damaged(
            path, f"options of an operator cannot be read: {type(error).__name__}: {error}"
        ) from None


def _keep(model: Any, places: range, behind: Iterable[int]) -> None:
    """Take everything else out of the tree."""
    subgraph = model.subgraphs[0]
    everyone = subgraph.operators
    before = [everyone[place] for place in behind]
    mine = [everyone[place] for place in places]
    others = [o for place, o in enumerate(everyone) if place not in places]
    file_in, file_out = _ints(subgraph.inputs), _ints(subgraph.outputs)
    read, made = _read(mine), _made(mine)
    given = _made(before)
    is_tail = bool(before)
    if is_tail:
        passed = [t for t in file_out if t not in given]
        known = _read(before)
        inputs = [t for t in file_in if t in read or t in passed or t not in known]
        outputs = passed
    else:
        inputs = [t for t in file_in if t in read]
        wanted = _read(others)
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
