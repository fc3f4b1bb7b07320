"""Whether the shapes of tensors agree with the operators between them, and what is missing of them.

What a custom operator makes has no shape in many files, for the converter does not know the
operator; some leave out the shapes behind an LSTM.  Buffers are sized from shapes, so they have to
be found.  Where a file has a shape, it must be the one that follows: LiteRT works it out anew and
the file would describe tensors that do not exist, or LiteRT refuses the model, or dies of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compiler.cutting import extract
from compiler.deadline import Deadline
from compiler.graph import NO_TENSOR, Graph, Operator
from compiler.reading.computing_rules import COMPUTING
from compiler.reading.moving_rules import MOVING
from compiler.reading.operands import ContradictionError, Inputs, Shape, shown
from compiler.reading.refusal import unsound
from devices.chip import prepared_shapes
from devices.executable import tflite_file

_RULES = {**COMPUTING, **MOVING}


def with_sound_shapes(graph: Graph, deadline: Deadline) -> Graph:
    """The graph with the missing shapes of its operators' results filled in.

    They follow from the operators' inputs or, where there is no rule for an operator, LiteRT knows
    them (detection post-processing is a custom one); for operators it does not have, and for what
    is a scalar indeed, they stay scalars.  Raises ``ModelError`` where shapes contradict each
    other, and once the deadline has passed.
    """
    for operator in graph.operators:
        shapes = _expected(graph, operator)
        missing = [t for t in operator.outputs if not graph.tensors[t].shape]
        if shapes is None and missing:
            if not (operator.is_custom or _reads_more_than_scalars(graph, operator)):
                continue
            deadline.check()
            shapes = _prepared_shapes(graph, operator)
        elif shapes is not None:
            _compare(graph, operator, shapes)
        if not missing:
            continue
        tensors = list(graph.tensors)
        for t, shape in zip(operator.outputs, shapes or (), strict=False):
            if t in missing:
                graph.source.subgraphs[0].tensors[t].shape = np.array(shape, np.int32)
                tensors[t] = replace(tensors[t], shape=shape)
        graph = replace(graph, tensors=tuple(tensors))
    return graph


def _expected(graph: Graph, operator: Operator) -> Sequence[Shape] | None:
    """The shapes of an operator's results; ``None`` where no rule tells them."""
    rule = None if operator.is_custom else _RULES.get(operator.kind)
    if rule is None:
        return None
    read = tuple(None if t == NO_TENSOR else graph.tensors[t] for t in operator.inputs)
    try:
        return rule(Inputs(operator, read))
    except ContradictionError as error:
        raise _contradiction(graph, operator, str(error)) from None


def _compare(graph: Graph, operator: Operator, expected: Sequence[Shape]) -> None:
    if len(expected) != len(operator.outputs):
        found = f"it has {len(operator.outputs)} results where {len(expected)} follow"
        raise _contradiction(graph, operator, found)
    for t, shape in zip(operator.outputs, expected, strict=True):
        tensor = graph.tensors[t]
        if tensor.shape not in (shape, ()):
            found = f"{tensor.name!r} is {shown(tensor.shape)} where {shown(shape)} follows"
            raise _contradiction(graph, operator, found)


def _contradiction(graph: Graph, operator: Operator, found: str) -> Exception:
    return unsound(
        graph.name,
        f"the shapes around operator {operator.file_index} ({operator.kind}) contradict each "
        f"other: {found}; convert the model again",
    )


def _reads_more_than_scalars(graph: Graph, operator: Operator) -> bool:
    return any(
        graph.is_activation(t) and graph.tensors[t].shape for t in graph.read_by(operator.index)
    )


def _prepared_shapes(graph: Graph, operator: Operator) -> list[tuple[int, ...]]:
    """Shapes of an operator's results according to LiteRT; empty where it does not know it."""
    handed_in = [t for t in graph.read_by(operator.index) if graph.is_activation(t)]
    alone = extract(graph, [operator.index], handed_in, operator.outputs)
    model = tflite_file.pack_model(alone.model)
    if not hasattr(os, "fork"):  # there are no device processes on this system
        return prepared_shapes(model)
    from devices.apart import shapes_apart  # rarely needed, and not where there are none

    return shapes_apart(model, f"operator {operator.file_index} of {graph.name} ({operator.kind})")
