"""The graph: a frozen view of a model's one subgraph, on which everything else is planned.

    tensors     by index, as in the file; every index in this package is a tensor or operator index
    operators   in execution order: each comes after the makers of all it reads
    constants   tensors with data, as numpy views of the file, never copied
    variables   tensors that keep their value between inferences (the state of an LSTM)
    activations all others: made by an operator or handed in; only these can cross a cut

How a model file becomes a graph is in :mod:`compiler.reading.reader`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.errors import ConfigError
from devices.executable import tflite_file

NO_TENSOR = -1
"""An optional input that is left out, in ``Operator.inputs``."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of the graph.

    ``name`` is unique among activations: where the file repeats a name (or leaves it empty), each
    of the tensors that share it is called ``NAME#INDEX``, so that values can be told apart by
    name from one segment to the next.  ``element_type`` is TFLite's number for the type and
    ``data`` the raw bytes (uint8) of a constant, else ``None``.  ``scales`` and ``zero_points``
    are empty when the tensor is not quantised; they hold one value per slice along
    ``quantized_dimension`` when it is quantised per channel.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    element_type: int
    data: NDArray[np.uint8] | None
    is_variable: bool
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    quantized_dimension: int

    @property
    def dtype(self) -> str:
        """Lower-case type name, a numpy dtype name where numpy has the type."""
        return tflite_file.TYPE_NAMES.get(self.element_type, f"type {self.element_type}")

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count

    @property
    def size_bytes(self) -> int:
        """Bytes of the dense tensor; 0 for types without a fixed size (strings, resources)."""
        bits = tflite_file.element_bits(self.element_type)
        return 0 if bits is None else (self.elements * bits + 7) // 8

    @property
    def is_constant(self) -> bool:
        """Whether its value is part of the model."""
        return self.data is not None and not self.is_variable

    @property
    def is_quantized(self) -> bool:
        """Whether it has a scale."""
        return bool(self.scales)

    def values(self) -> NDArray[Any]:
        """A constant's values with its dtype and shape, a view of the file."""
        if self.data is None:
            raise ConfigError(f"tensor {self.index} ({self.name}) is not a constant.")
        return self.data.view(self.dtype).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator: ``kind`` is its builtin name such as ``CONV_2D``, or its custom code.

    ``inputs`` may hold :data:`NO_TENSOR`.  ``options`` is the schema's options object (read
    only), ``None`` for operators without options.  ``file_index`` is its place in the file, which
    differs from ``index`` where the file was not in execution order or operators are folded; it is
    what users read as ``#5``.
    """

    index: int
    file_index: int
    kind: str
    is_custom: bool
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options: Any


@dataclass(frozen=True, eq=False)
class Graph:
    """A model, read.

    ``source`` is the schema object tree that cuts copy from: read only.  ``attached`` is what
    follows the flatbuffer in the file, such as a zip archive of labels.  ``folded`` are operators
    of the file that are not among ``operators``, because their results were known when it was read:
    these are constants here, though not in ``source``; they keep the numbers they had.
    """

    name: str
    stem: str
    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    source: Any
    source_bytes: int
    attached: bytes = b""
    folded: tuple[Operator, ...] = ()

    def read_by(self, index: int) -> tuple[int, ...]:
        """Tensors operator ``index`` reads, without the optional ones left out, each once."""
        return tuple(dict.fromkeys(t for t in self.operators[index].inputs if t != NO_TENSOR))

    def parameter_bytes(self, index: int) -> int:
        """Raw constant bytes read by an operator; a shared constant counts for each reader."""
        total = 0
        for t in self.operators[index].inputs:
            if t != NO_TENSOR and self.tensors[t].is_constant:
                data = self.tensors[t].data
                total += 0 if data is None else int(data.size)
        return total

    def is_activation(self, tensor: int) -> bool:
        """Whether the tensor's value is handed over at run time and so can cross a cut."""
        return self.makers[tensor] is not None or tensor in self._input_set

    @cached_property
    def _input_set(self) -> frozenset[int]:
        return frozenset(self.inputs)

    @cached_property
    def makers(self) -> tuple[int | None, ...]:
        """By tensor: the operator that makes it, ``None`` if no operator does.

        Variables have no maker: who writes one does not hand it over, he changes a state.
        """
        makers: list[int | None] = [None] * len(self.tensors)
        for operator in self.operators:
            for t in operator.outputs:
                if not self.tensors[t].is_variable:
                    makers[t] = operator.index
        return tuple(makers)

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """By tensor: the operators that read it, in execution order."""
        readers: list[dict[int, None]] = [{} for _ in self.tensors]
        for operator in self.operators:
            for t in operator.inputs:
                if t != NO_TENSOR:
                    readers[t][operator.index] = None
        return tuple(tuple(found) for found in readers)

    @cached_property
    def last_use(self) -> tuple[int, ...]:
        """By tensor: the last operator that reads it, the number of operators for graph outputs.

        -1 for tensors nobody uses.
        """
        last = [-1] * len(self.tensors)
        for operator in self.operators:
            for t in operator.inputs:
                if t != NO_TENSOR:
                    last[t] = operator.index
        for t in self.outputs:
            last[t] = len(self.operators)
        return tuple(last)

    @cached_property
    def unread_inputs(self) -> tuple[int, ...]:
        """Graph inputs that no operator reads."""
        read = {t for operator in self.operators for t in operator.inputs}
        return tuple(t for t in self.inputs if t not in read)

    @cached_property
    def passed_through(self) -> tuple[int, ...]:
        """Graph outputs that no operator makes: graph inputs or constants handed out again."""
        return tuple(t for t in self.outputs if self.makers[t] is None)

    def tensors_between(self, position: int) -> tuple[int, ...]:
        """Activations that exist before ``position`` and are read by an operator from there on.

        ``position`` is a place between operators, 0 to ``len(operators)``.
        """
        found: dict[int, None] = {}
        for operator in self.operators[position:]:
            for t in operator.inputs:
                if t != NO_TENSOR and self.is_activation(t):
                    maker = self.makers[t]
                    if maker is None or maker < position:
                        found[t] = None
        return tuple(found)

    def obstacle(self, position: int) -> str | None:
        """Why the graph cannot be cut before operator ``position``; ``None`` if it can."""
        return self._obstacles.get(position)

    def cuttable(self, position: int) -> bool:
        """Whether the graph can be cut before operator ``position``."""
        return position not in self._obstacles

    @cached_property
    def _obstacles(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for operators, reason in self.inseparable:
            for position in range(operators[0] + 1, operators[-1] + 1):
                found.setdefault(position, reason)
        return found

    @cached_property
    def inseparable(self) -> tuple[tuple[tuple[int, ...], str], ...]:
        """Operators that must be in one segment, ascending, and why.

        They share a state, or hand each other a tensor that cannot leave a segment.
        """
        found = [
            (
                state.operators,
                f"operators #{self.operators[state.operators[0]].file_index} and "
                f"#{self.operators[state.operators[-1]].file_index} share the state of "
                f"{state.name}",
            )
            for state in state_groups(self)
        ]
        for tensor, maker in zip(self.tensors, self.makers, strict=True):
            if maker is None or tflite_file.numpy_name(tensor.element_type) is not None:
                continue
            users = {maker, *self.readers[tensor.index]}
            if self.last_use[tensor.index] == len(self):
                users.add(len(self) - 1)
            if len(users) > 1:
                found.append(
                    (
                        tuple(sorted(users)),
                        f"tensor {tensor.name} of type {tensor.dtype} cannot be handed "
                        "from one segment to the next",
                    )
                )
        return tuple(found)

    def __len__(self) -> int:
        return len(self.operators)


@dataclass(frozen=True)
class StateGroup:
    """Operators that read or change the same state and so must run in one segment."""

    name: str
    operators: tuple[int, ...]


_RESOURCE_KINDS = frozenset({"VAR_HANDLE", "HASHTABLE"})


def state_groups(graph: Graph) -> tuple[StateGroup, ...]:
    """States used by more than one operator: shared variable tensors, variables by name."""
    users: dict[tuple[str, Any], dict[int, None]] = {}
    names: dict[tuple[str, Any], str] = {}
    for operator in graph.operators:
        for t in (*operator.inputs, *operator.outputs, *operator.intermediates):
            if t != NO_TENSOR and graph.tensors[t].is_variable:
                users.setdefault(("tensor", t), {})[operator.index] = None
                names[("tensor", t)] = f"variable tensor {graph.tensors[t].name or t}"
        if operator.kind in _RESOURCE_KINDS:
            key = (operator.kind, _resource_key(operator.options))
            users.setdefault(key, {})[operator.index] = None
            names[key] = f"resource {key[1]}"
    return tuple(
        StateGroup(names[key], tuple(sorted(who))) for key, who in users.items() if len(who) > 1
    )


def _resource_key(options: Any) -> tuple[Any, ...]:
    fields = ("container", "sharedName", "tableId")
    return tuple(getattr(options, field, None) for field in fields)
