"""The CPU operators in front of, between and behind the custom operators, as models of their own.

They are written with the schema of ``ai_edge_litert``, whose object trees can be written.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from devices.executable import tflite_file
from devices.executable.surroundings import damaged


def cpu_models(data: bytes, runs: Sequence[range], path: Path) -> list[bytes | None]:
    """For each run of operators of the file: these as a model; ``None`` if there are none.

    What those in front of them have made becomes an input of theirs, and so do inputs of the file
    that they read.  Outputs are those of the file that they make, and what others read.  To the
    last of all operators also belong inputs of the file that nobody in front reads, needed or not,
    and outputs of the file that are its inputs.  Raises ``ModelError`` where an operator is
    damaged.
    """
    if not any(runs):
        return [None for _ in runs]
    try:
        tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        return [tflite_file.pack_model(_model(tree, places)) if places else None for places in runs]
    except Exception as error:
        # Only the options of operators are left to go wrong, for which the schema has no error.
        raise damaged(
            path, f"options of an operator cannot be read: {type(error).__name__}: {error}"
        ) from None


def _model(tree: Any, places: range) -> Any:
    """A tree that holds nothing else of the file."""
    whole, *others = tree.subgraphs
    mine = whole.operators[places.start : places.stop]
    inputs, outputs = _ends(whole, places)
    used = {*inputs, *outputs, *_read(mine), *_made(mine)}
    used.update(index for operator in mine for index in _ints(operator.intermediates))
    kept = sorted(used - {-1})  # an optional input that is left out
    place = {old: new for new, old in enumerate(kept)} | {-1: -1}
    subgraph = copy.copy(whole)
    subgraph.tensors = [whole.tensors[index] for index in kept]
    subgraph.operators = [_moved(operator, place) for operator in mine]
    subgraph.inputs = _placed(inputs, place)
    subgraph.outputs = _placed(outputs, place)
    model = copy.copy(tree)
    model.subgraphs = [subgraph, *others]
    needed = {tensor.buffer for one in model.subgraphs for tensor in one.tensors}
    model.buffers = [
        tflite_file.aligned_buffer(buffer.data if index in needed else None)
        for index, buffer in enumerate(tree.buffers)
    ]
    model.metadata = model.metadataBuffer = model.signatureDefs = None  # they speak of the whole
    return model


def _ends(subgraph: Any, places: range) -> tuple[list[int], list[int]]:
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
    return inputs + [t for t in given if t in read], outputs


def _moved(operator: Any, place: Mapping[int, int]) -> Any:
    moved = copy.copy(operator)
    moved.inputs = _placed(_ints(operator.inputs), place)
    moved.outputs = _placed(_ints(operator.outputs), place)
    moved.intermediates = _placed(_ints(operator.intermediates), place)
    return moved


def _placed(indices: Iterable[int], place: Mapping[int, int]) -> Any:
    return np.array([place[index] for index in indices], np.int32)


def _read(operators: Iterable[Any]) -> set[int]:
    return {index for operator in operators for index in _ints(operator.inputs)}


def _made(operators: Iterable[Any]) -> list[int]:
    return [index for operator in operators for index in _ints(operator.outputs)]


def _ints(indices: Any) -> list[int]:
    return [] if indices is None else [int(index) for index in indices]
