"""Cutting: any run of operators becomes a ``.tflite`` model of its own.

The law: for every graph and every set of cuts, running the segments one after another gives the
uncut model's outputs bit for bit.  A tensor may skip segments, a graph input may be read late, a
graph output may be made early and still be read afterwards::

    operators   0   1 │ 2   3 │ 4   5
    x ──────────●     │       │
      └───────────────┼───────┼─●          read by segments 0 and 2: an input of both
                a ────●──●    │            made by 0, read by 1
                b ────┼───────●            made by 0, read by 2: skips segment 1
                      │    y ─┼──────►     graph output made by segment 1
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from compiler.cutting.prepacked import prepacked
from compiler.graph import NO_TENSOR, Graph
from devices.errors import ConfigError, ModelError
from devices.executable import tflite_file

_DESCRIPTION = b"Segment of a larger model."
_SCHEMA_VERSION = 3


@dataclass(frozen=True)
class Boundary:
    """Tensor indices a segment takes in and gives out.

    Graph inputs come first in the graph's order, then the others in the order they are made;
    outputs likewise: graph outputs first in the graph's order, then the rest.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Crossing:
    """The tensors crossing a cut and their size in bytes."""

    tensors: tuple[int, ...]
    size_bytes: int


def crossing(graph: Graph, position: int) -> Crossing:
    """What crosses a cut before operator ``position`` (0 to ``len(graph)``).

    Tensors made before it, and graph inputs, that an operator at or after it reads.  Graph
    outputs nobody reads leave for the caller and do not cross.  Raises ``ConfigError`` for a
    position outside the graph.
    """
    if not 0 <= position <= len(graph):
        raise ConfigError(
            f"{graph.name}: position {position} is outside 0..{len(graph)}, the places between "
            "its operators."
        )
    tensors = graph.tensors_between(position)
    return Crossing(tensors, sum(graph.tensors[t].size_bytes for t in tensors))


def check_range(graph: Graph, first: int, end: int) -> None:
    """Raise unless operators ``first`` to ``end`` (exclusive) can be a segment.

    ``ConfigError`` for an empty or outside range, ``ModelError`` where a state shared by two
    operators forbids the cut.
    """
    if not 0 <= first < end <= len(graph):
        raise ConfigError(
            f"{graph.name}: a segment of operators {first}..{end} was asked for, but a segment "
            f"has at least one operator and the model has operators 0..{len(graph)}."
        )
    for position in (first, end):
        obstacle = graph.obstacle(position)
        if obstacle is not None:
            raise ModelError(
                f"{graph.name} cannot be cut before operator {position}: {obstacle}; "
                "cut before or behind both."
            )


def boundary(graph: Graph, first: int, end: int) -> Boundary:
    """Inputs and outputs of the segment of operators ``first`` to ``end`` (exclusive).

    Inputs are the activations it reads and does not make; outputs are the tensors it makes that
    are read later or are graph outputs.  So that nothing of the uncut model is lost, the segment
    with the first operator also takes graph inputs nobody reads, and the one with the last hands
    on graph outputs nobody makes.  Raises as :func:`check_range`.
    """
    check_range(graph, first, end)
    return _boundary(graph, range(first, end))


def boundary_of(graph: Graph, operators: Sequence[int]) -> Boundary:
    """The same for a segment of any operators, ascending.  Raises as :func:`check_operators`."""
    check_operators(graph, operators)
    return _boundary(graph, _lookup(operators))


def _boundary(graph: Graph, operators: Collection[int]) -> Boundary:
    inputs, outputs = flow(graph, operators)
    if 0 in operators:
        inputs.update(graph.unread_inputs)
    if len(graph) - 1 in operators:
        outputs.update(graph.passed_through)
        inputs.update(t for t in graph.passed_through if graph.is_activation(t))
    return Boundary(*in_order(graph, inputs, outputs))


def check_operators(graph: Graph, operators: Sequence[int]) -> None:
    """Raise unless the operators, ascending, can be a segment whatever lies between them.

    No way from one of them to another may lead through an operator outside, for the segment runs
    as one.  ``ConfigError`` for operators that are not there, out of order or not closed in this
    sense, ``ModelError`` where a state or a tensor forbids the cut.
    """
    if len(operators) and operators[-1] - operators[0] + 1 == len(operators):
        check_range(graph, operators[0], operators[-1] + 1)
        return
    ascending = all(a < b for a, b in pairwise(operators))
    if not operators or not ascending or operators[0] < 0 or operators[-1] >= len(graph):
        raise ConfigError(
            f"{graph.name}: a segment of operators {tuple(operators)} was asked for, but a segment "
            f"is one or more of the operators 0..{len(graph) - 1} in ascending order."
        )
    inside = frozenset(operators)
    behind: set[int] = set()  # operators outside that need a result of one inside
    for index in range(operators[0], operators[-1] + 1):
        makers = {graph.makers[t] for t in graph.read_by(index)}
        if index not in inside:
            if not makers.isdisjoint(inside) or not makers.isdisjoint(behind):
                behind.add(index)
        elif not makers.isdisjoint(behind):
            raise ConfigError(
                f"{graph.name}: operators {tuple(operators)} cannot be a segment, because operator "
                f"{index} needs results of operators outside that need results of it."
            )
    for operators_together, reason in graph.inseparable:
        if not inside.isdisjoint(operators_together) and not inside.issuperset(operators_together):
            raise ModelError(
                f"{graph.name} cannot be cut into operators {tuple(operators)} and others: "
                f"{reason}; cut before or behind both."
            )


def _lookup(operators: Sequence[int]) -> Collection[int]:
    """The same operators, quick to look up."""
    if operators[-1] - operators[0] + 1 == len(operators):
        return range(operators[0], operators[-1] + 1)
    return frozenset(operators)


def flow(graph: Graph, operators: Collection[int]) -> tuple[set[int], set[int]]:
    """Activations that a set of operators reads but does not make, and those it makes for others.

    The second set holds what any operator outside reads, and graph outputs.
    """
    reads: set[int] = set()
    makes: set[int] = set()
    for index in operators:
        reads.update(t for t in graph.read_by(index) if graph.is_activation(t))
        makes.update(t for t in graph.operators[index].outputs if graph.makers[t] == index)
    outputs = {t for t in makes if _needed_outside(graph, t, operators)}
    return reads - makes, outputs


def _needed_outside(graph: Graph, tensor: int, operators: Collection[int]) -> bool:
    if graph.last_use[tensor] == len(graph):
        return True
    return any(reader not in operators for reader in graph.readers[tensor])


def in_order(
    graph: Graph, inputs: Iterable[int], outputs: Iterable[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The two sets in the order :class:`Boundary` promises."""

    def order(tensors: Iterable[int], first: Sequence[int]) -> tuple[int, ...]:
        rest = set(tensors)
        head = [t for t in first if t in rest]
        rest.difference_update(head)
        return (*head, *sorted(rest, key=lambda t: (graph.makers[t] or 0, t)))

    return order(inputs, graph.inputs), order(outputs, graph.outputs)


def cut(graph: Graph, first: int, end: int) -> bytes:
    """The segment of operators ``first`` to ``end`` (exclusive) as a ``.tflite`` file.

    Its inputs and outputs are :func:`boundary`'s, named by ``graph.tensors[i].name``.  Everything
    that decides the numbers is kept: quantisation, ``shape_signature``, options, custom codes,
    optional inputs, variables, intermediates.  Model metadata is dropped, for it speaks of the
    whole model; a signature is kept where all tensors it names are inputs and outputs here, which
    is so in the uncut model.  The same arguments give the same bytes.  Raises as
    :func:`check_range`.
    """
    check_range(graph, first, end)
    return cut_operators(graph, range(first, end))


def cut_operators(graph: Graph, operators: Sequence[int]) -> bytes:
    """The same for a segment of any operators, ascending.  Raises as :func:`check_operators`."""
    edge = boundary_of(graph, operators)
    part = extract(graph, operators, edge.inputs, edge.outputs)
    return tflite_file.pack_model(part.model)


@dataclass(frozen=True)
class Extract:
    """A schema object tree (``ModelT``) and where the graph's tensors went in it.

    Its tensors and operators are already written (:mod:`compiler.cutting.prepacked`): they can be
    packed and put in other places, but not looked into.
    """

    model: Any
    place: dict[int, int]


def extract(
    graph: Graph,
    operators: Sequence[int],
    inputs: Sequence[int],
    outputs: Sequence[int],
    *,
    between: Sequence[int] = (),
) -> Extract:
    """A model holding just the given operators, in the given order.

    It also has the tensors ``between`` operators that will be added to it.

    The tree shares constants with the graph's own and must be treated as read only, but for its
    lists, which are its own.
    """
    source = graph.source
    source_graph = source.subgraphs[0]
    blocks = prepacked(graph)
    used = {*inputs, *outputs, *between}
    for i in operators:
        operator = graph.operators[i]
        used.update(operator.inputs, operator.outputs, operator.intermediates)
    used.discard(NO_TENSOR)
    place = {old: new for new, old in enumerate(sorted(used))}
    place[NO_TENSOR] = NO_TENSOR

    model = schema.ModelT()
    model.version = _SCHEMA_VERSION
    model.description = _DESCRIPTION
    model.buffers = [tflite_file.aligned_buffer()]
    model.operatorCodes = []

    folded = {t for operator in graph.folded for t in operator.outputs}
    buffer_place: dict[int, int] = {}
    tensors = []
    for old in sorted(used):
        tensor = source_graph.tensors[old]
        data, buffer = graph.tensors[old].data, 0
        if data is not None:
            key = ~old if old in folded else tensor.buffer  # its buffer in the source is empty
            if key not in buffer_place:
                buffer_place[key] = len(model.buffers)
                model.buffers.append(tflite_file.aligned_buffer(data))
            buffer = buffer_place[key]
        tensors.append(blocks.tensor(tensor, old, graph.tensors[old].name, buffer))

    code_place: dict[int, int] = {}
    copies = []
    for i in operators:
        file_index = graph.operators[i].file_index
        original = source_graph.operators[file_index]
        if original.opcodeIndex not in code_place:
            code_place[original.opcodeIndex] = len(model.operatorCodes)
            code = source.operatorCodes[original.opcodeIndex]
            model.operatorCodes.append(
                tflite_file.operator_code(
                    tflite_file.effective_code(code), code.customCode, code.version
                )
            )
        copies.append(
            blocks.operator(
                original,
                file_index,
                code_place[original.opcodeIndex],
                _moved(original.inputs, place),
                _moved(original.outputs, place),
                _moved(original.intermediates, place),
            )
        )

    subgraph = schema.SubGraphT()
    subgraph.name = source_graph.name
    subgraph.tensors = tensors
    subgraph.operators = copies
    subgraph.inputs = np.array(_moved(inputs, place), np.int32)
    subgraph.outputs = np.array(_moved(outputs, place), np.int32)
    model.subgraphs = [subgraph]
    model.signatureDefs = _signatures(source, {*inputs, *outputs}, place)
    return Extract(model, place)


def _signatures(source: Any, edge: set[int], place: dict[int, int]) -> list[Any] | None:
    """The signatures all of whose tensors are at the edge, with the tensors' new places."""
    kept = []
    for original in source.signatureDefs or ():
        named = [*(original.inputs or ()), *(original.outputs or ())]
        if original.subgraphIndex == 0 and all(entry.tensorIndex in edge for entry in named):
            signature = copy.copy(original)
            signature.inputs = _renamed(original.inputs, place)
            signature.outputs = _renamed(original.outputs, place)
            kept.append(signature)
    return kept or None


def _renamed(entries: Any, place: dict[int, int]) -> Any:
    if entries is None:
        return None
    result = [copy.copy(entry) for entry in entries]
    for entry in result:
        entry.tensorIndex = place[entry.tensorIndex]
    return result


def _moved(indices: Any, place: dict[int, int]) -> list[int]:
    return [] if indices is None else [place[int(i)] for i in indices]
