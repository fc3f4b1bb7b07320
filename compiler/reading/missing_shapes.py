"""Shapes that converters leave out of a file.

What a custom operator makes has no shape in many files, for the converter does not know the
operator; some leave out the shapes behind an LSTM.  Buffers are sized from shapes, so they have to
be found.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.cutting import extract
from compiler.deadline import Deadline
from compiler.graph import Graph, Operator
from devices.executable import tflite_file


def with_missing_shapes(graph: Graph, deadline: Deadline) -> Graph:
    """The graph with the missing shapes of its operators' results filled in.

    LiteRT knows them for the operators it has (detection post-processing is a custom one) once it
    has prepared the operator; for others, and for what is a scalar indeed, they stay scalars.
    Raises ``ModelError`` once the deadline has passed.
    """
    for operator in graph.operators:
        missing = [t for t in operator.outputs if not graph.tensors[t].shape]
        if not missing or not (operator.is_custom or _reads_more_than_scalars(graph, operator)):
            continue
        deadline.check()
        shapes = _prepared_shapes(graph, operator)
        tensors = list(graph.tensors)
        for t, shape in zip(operator.outputs, shapes, strict=False):
            if t in missing:
                graph.source.subgraphs[0].tensors[t].shape = np.array(shape, np.int32)
                tensors[t] = replace(tensors[t], shape=shape)
        graph = replace(graph, tensors=tuple(tensors))
    return graph


def _reads_more_than_scalars(graph: Graph, operator: Operator) -> bool:
    return any(
        graph.is_activation(t) and graph.tensors[t].shape for t in graph.read_by(operator.index)
    )


def _prepared_shapes(graph: Graph, operator: Operator) -> list[tuple[int, ...]]:
    """Shapes of an operator's results according to LiteRT; empty where it does not know it."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # rarely needed

    handed_in = [t for t in graph.read_by(operator.index) if graph.is_activation(t)]
    alone = extract(graph, [operator.index], handed_in, operator.outputs)
    try:
        interpreter = Interpreter(
            model_content=tflite_file.pack_model(alone.model),
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError):
        return []
    return [tuple(map(int, detail["shape"])) for detail in interpreter.get_output_details()]
