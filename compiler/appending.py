"""Operators behind a model that is there already, compiled or not: what learning on a device needs.

The base of a classifier stays as it is, on the Edge TPU if it was compiled; its last layers are
taken off (:func:`up_to`) and others put in their place (:func:`append_operators`), which run on the
CPU.  The seal of a compiled file covers the Edge TPU's part alone and is not touched::

    input ─► edgetpu-custom-op ─► embedding      up_to(model, "embedding")
                                     │
                                     └─► FULLY_CONNECTED ─► SOFTMAX      append_operators(...)

What a file says of its outputs is not true any more and goes: signatures, TFLITE_METADATA, attached
labels.  Its description and other metadata stay.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from compiler.graph import NO_TENSOR, Graph
from compiler.reading import graph_from_bytes, graphs_to_look_at
from devices.errors import ConfigError, ModelError
from devices.executable import tflite_file

_OF_THE_OLD_FILE = frozenset({b"TFLITE_METADATA", b"OfflineMemoryAllocation", b"DEBUG_METADATA"})
"""Metadata that lists a file's outputs, or numbers its tensors or operators."""

_TYPES = {name: number for number, name in tflite_file.TYPE_NAMES.items()}


@dataclass(frozen=True, eq=False)
class NewTensor:
    """A tensor to be added; a constant if it has ``data``, whose shape and dtype are then its own.

    ``dtype`` is a lower-case type name such as ``int8``.  ``scales`` and ``zero_points`` are empty
    for a tensor that is not quantised, and have one value for each slice along
    ``quantized_dimension`` if it is quantised per channel.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_dimension: int = 0
    data: NDArray[Any] | None = field(default=None, repr=False)

    @staticmethod
    def constant(
        name: str,
        data: NDArray[Any],
        scales: tuple[float, ...] = (),
        zero_points: tuple[int, ...] = (),
    ) -> NewTensor:
        """A constant of the shape and type of an array."""
        return NewTensor(name, data.shape, data.dtype.name, scales, zero_points, 0, data)


@dataclass(frozen=True, eq=False)
class NewOperator:
    """An operator to be added, of the builtin ``kind``, such as ``SOFTMAX``.

    ``inputs`` are names of tensors of the model, or new tensors, made by operators in front of this
    one or constants.  ``options`` is an object of ``ai_edge_litert.schema_py_generated``, such as
    ``SoftmaxOptionsT``; ``None`` for kinds that have none.
    """

    kind: str
    inputs: tuple[str | NewTensor, ...]
    outputs: tuple[NewTensor, ...]
    options: Any = None
    version: int = 1


_Places = dict[Any, int]
"""Where the tensors that operators name, new ones and names of old ones, are in a subgraph."""


def append_operators(
    model: bytes,
    operators: Sequence[NewOperator],
    *,
    description: str | None = None,
    name: str = "the model",
) -> bytes:
    """A model file with operators behind its own; they run on the CPU.

    What they make and do not read themselves becomes an output, in place of the first output of the
    model that they read; other outputs that they do not read stay.  ``description`` replaces the
    model's.  ``name`` is what messages call the file.  The same arguments give the same bytes.

    A device does not count the time of these operators, since a compiled file says what its
    operators cost in the part that is sealed.

    Raises ``ConfigError`` for an operator that cannot be understood (an unknown kind, a tensor that
    is not there, a name that is taken), ``ModelError`` for a file that is no undamaged ``.tflite``,
    that has several subgraphs, or whose types and shapes and those of the operators do not fit.
    """
    graph = look_at(model, name)
    addition = _Addition(graph, operators)
    addition.check()
    tree = _opened(graph)
    place = addition.add_to(tree)
    read = {place[one] for operator in operators for one in operator.inputs}
    made = [place[one] for operator in operators for one in operator.outputs]
    ends = [index for index in made if index not in read]
    kept = [index for index in graph.outputs if index not in read]
    first = next((at for at, index in enumerate(graph.outputs) if index in read), len(kept))
    tree.subgraphs[0].outputs = np.array([*kept[:first], *ends, *kept[first:]], np.int32)
    if description is not None:
        tree.description = description.encode()
    return tflite_file.pack_model(tree)


def up_to(model: bytes, tensor: str, *, name: str = "the model") -> bytes:
    """A model file whose one output is ``tensor``: without the operators that it does not need.

    All inputs stay.  Of a compiled file only operators on the CPU can be left out, and the tensor
    cannot be one inside the Edge TPU's part.  Raises as :func:`append_operators`.
    """
    graph = look_at(model, name)
    wanted = _index(graph, tensor)
    needed: set[int] = set()
    open_ends = [wanted]
    while open_ends:
        maker = graph.makers[open_ends.pop()]
        if maker is not None and maker not in needed:
            needed.add(maker)
            open_ends += graph.read_by(maker)
    if not needed:
        raise ConfigError(f"{name}: no operator makes {tensor!r}, so that nothing would be left.")
    tree = _opened(graph)
    (subgraph,) = tree.subgraphs
    subgraph.operators = [subgraph.operators[index] for index in sorted(needed)]
    subgraph.outputs = np.array([wanted], np.int32)
    _without_the_unused(tree)
    return tflite_file.pack_model(tree)


def look_at(model: bytes, name: str = "the model") -> Graph:
    """The operators and tensors of a model file that can be appended to, compiled or not.

    Raises ``ModelError`` for what is no undamaged ``.tflite`` file with one subgraph.
    """
    graph, *others = graphs_to_look_at(model, name)
    if others:
        raise ModelError(
            f"{name} has {1 + len(others)} subgraphs, and operators can be appended to a model of "
            "one; convert it without control flow."
        )
    return graph


class _Addition:
    """New operators, and what they read of a graph."""

    def __init__(self, graph: Graph, operators: Sequence[NewOperator]) -> None:
        if not operators:
            raise ConfigError(f"{graph.name}: no operators to append were given.")
        self._graph = graph
        self._operators = operators
        self._read: dict[str, int] = {}
        self._new: dict[NewTensor, None] = {}
        made: set[NewTensor] = set()
        for operator in operators:
            for one in operator.inputs:
                if isinstance(one, str):
                    self._read[one] = _index(graph, one)
                elif one.data is None and one not in made:
                    raise ConfigError(
                        f"{operator.kind} reads {one.name!r}, which is no constant and which no "
                        "operator before it makes; put its maker in front of it."
                    )
                else:
                    self._new[one] = None
            made.update(operator.outputs)
            self._new.update(dict.fromkeys(operator.outputs))
        taken = {tensor.name for tensor in graph.tensors}
        for new in self._new:
            if new.name in taken:
                raise ConfigError(
                    f"{graph.name}: a tensor {new.name!r} is there already; give the one to be "
                    "added another name, for devices tell tensors by their names."
                )
            taken.add(new.name)

    def check(self) -> None:
        """Raise ``ModelError`` unless the operators fit each other and what they read.

        They are read as the model that they are by themselves.
        """
        tree = schema.ModelT()
        tree.version = self._graph.source.version
        tree.operatorCodes, tree.buffers = [], [tflite_file.aligned_buffer()]
        subgraph = schema.SubGraphT()
        tree.subgraphs = [subgraph]
        subgraph.operators, subgraph.tensors = [], []
        for index in self._read.values():
            tensor = copy.copy(self._graph.source.subgraphs[0].tensors[index])
            tensor.buffer = 0
            subgraph.tensors.append(tensor)
        subgraph.inputs = np.arange(len(self._read), dtype=np.int32)
        place = self._add(tree, {one: at for at, one in enumerate(self._read)})
        outputs = [place[one] for operator in self._operators for one in operator.outputs]
        subgraph.outputs = np.array(outputs, np.int32)
        graph_from_bytes(tflite_file.pack_model(tree), f"{self._graph.name}, appended operators")

    def add_to(self, tree: Any) -> _Places:
        """Put tensors and operators behind those of a tree of the graph; says where they went."""
        return self._add(tree, dict(self._read))

    def _add(self, tree: Any, place: _Places) -> _Places:
        (subgraph,) = tree.subgraphs
        for new in self._new:
            place[new] = len(subgraph.tensors)
            subgraph.tensors.append(_tensor(new, tree.buffers))
        for operator in self._operators:
            subgraph.operators.append(_operator(operator, place, tree.operatorCodes))
        return place


def _opened(graph: Graph) -> Any:
    """The tree of a graph's file, its lists free to be changed, without what will not be true."""
    tree = copy.copy(graph.source)
    subgraph = copy.copy(tree.subgraphs[0])
    subgraph.tensors, subgraph.operators = list(subgraph.tensors), list(subgraph.operators)
    tree.subgraphs = [subgraph]
    tree.operatorCodes = list(tree.operatorCodes or ())
    tree.buffers = [tflite_file.aligned_buffer(buffer.data) for buffer in tree.buffers]
    tree.metadata = [
        copy.copy(entry) for entry in tree.metadata or () if entry.name not in _OF_THE_OLD_FILE
    ]
    tree.signatureDefs = None
    return tree


def _without_the_unused(tree: Any) -> None:
    """Leave out tensors, codes and constants that nobody names any more."""
    (subgraph,) = tree.subgraphs
    named = {*_ints(subgraph.inputs), *_ints(subgraph.outputs)}
    for operator in subgraph.operators:
        for indices in (operator.inputs, operator.outputs, operator.intermediates):
            named.update(_ints(indices))
    kept = sorted(named - {NO_TENSOR})
    place = {old: new for new, old in enumerate(kept)} | {NO_TENSOR: NO_TENSOR}
    codes = sorted({operator.opcodeIndex for operator in subgraph.operators})
    subgraph.tensors = [copy.copy(subgraph.tensors[index]) for index in kept]
    subgraph.inputs = _moved(subgraph.inputs, place)
    subgraph.outputs = _moved(subgraph.outputs, place)
    operators = []
    for operator in subgraph.operators:
        moved = copy.copy(operator)
        moved.opcodeIndex = codes.index(operator.opcodeIndex)
        moved.inputs = _moved(operator.inputs, place)
        moved.outputs = _moved(operator.outputs, place)
        moved.intermediates = _moved(operator.intermediates, place)
        operators.append(moved)
    subgraph.operators = operators
    tree.operatorCodes = [tree.operatorCodes[index] for index in codes]
    users = [*subgraph.tensors, *tree.metadata]
    buffers = sorted({0, *(one.buffer for one in users)})
    for one in users:
        one.buffer = buffers.index(one.buffer)
    tree.buffers = [tree.buffers[index] for index in buffers]
    tree.metadataBuffer = None


def _tensor(new: NewTensor, buffers: list[Any]) -> Any:
    if new.dtype not in _TYPES:
        raise ConfigError(f"tensor {new.name!r} has the type {new.dtype!r}, which TFLite has not.")
    tensor = schema.TensorT()
    tensor.name = new.name.encode()
    tensor.shape = np.array(new.shape, np.int32)
    tensor.type = _TYPES[new.dtype]
    if new.scales:
        quantization = schema.QuantizationParametersT()
        quantization.scale = np.array(new.scales, np.float32)
        quantization.zeroPoint = np.array(new.zero_points, np.int64)
        quantization.quantizedDimension = new.quantized_dimension
        tensor.quantization = quantization
    if new.data is not None:
        tensor.buffer = len(buffers)
        buffers.append(tflite_file.aligned_buffer(np.ascontiguousarray(new.data).tobytes()))
    return tensor


def _operator(new: NewOperator, place: _Places, codes: list[Any]) -> Any:
    builtin = getattr(schema.BuiltinOperator, new.kind, None)
    if not isinstance(builtin, int) or builtin == tflite_file.CUSTOM:
        raise ConfigError(f"{new.kind!r} is no builtin operator of TFLite, such as 'SOFTMAX'.")
    operator = schema.OperatorT()
    operator.opcodeIndex = len(codes)
    codes.append(tflite_file.operator_code(builtin, version=new.version))
    operator.inputs = np.array([place[one] for one in new.inputs], np.int32)
    operator.outputs = np.array([place[one] for one in new.outputs], np.int32)
    if new.options is not None:
        table = type(new.options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        operator.builtinOptions = new.options
    return operator


def _index(graph: Graph, tensor: str) -> int:
    """The tensor of that name that is made or handed in.  Raises ``ConfigError`` if none is."""
    for found in graph.tensors:
        if found.name == tensor and graph.is_activation(found.index):
            return found.index
    ends = ", ".join(repr(graph.tensors[index].name) for index in graph.outputs)
    raise ConfigError(
        f"{graph.name} has no tensor {tensor!r} outside the Edge TPU's part; its outputs are {ends}"
        "."
    )


def _moved(indices: Any, place: dict[int, int]) -> Any:
    return np.array([place[index] for index in _ints(indices)], np.int32)


def _ints(indices: Any) -> Iterable[int]:
    return [] if indices is None else [int(index) for index in indices]
