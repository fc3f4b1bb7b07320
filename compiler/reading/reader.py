"""From the bytes of a model to a :class:`~compiler.graph.Graph`, refusing what is not sound.

    bytes ─► structure (every offset inside the file) ─► schema objects ─► checks ─► Graph

    (what is known before run time becomes a constant on the way: compiler.reading.folding)

A model that passes has: one subgraph, all indices in range, constants as large as their shapes
say, every tensor that is read handed in or made by exactly one operator, sizes known, and its
operators in an order in which they can run (sorted here if the file's order is not one).

Operators are named by the schema of ``ai_edge_litert``, the newest there is: ``tflite`` 2.18 knows
neither STABLEHLO_CASE nor what may follow it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from compiler.deadline import Deadline
from compiler.graph import NO_TENSOR, Graph, Operator, Tensor
from compiler.reading.flow import check_flow, in_order
from compiler.reading.folding import with_constants_folded
from compiler.reading.quantization import check_quantization, check_tensor
from compiler.reading.refusal import text, unsound
from compiler.reading.shapes import with_sound_shapes
from compiler.reading.source import read_source
from compiler.reading.tree import keep_first, read_tree, read_whole_tree
from compiler.reading.types import check_types
from devices.errors import ModelError
from devices.executable import CUSTOM_OPERATOR, METADATA_NAME, tflite_file

_KINDS: dict[int, str] = {
    value: name
    for name, value in vars(schema.BuiltinOperator).items()
    if isinstance(value, int) and not name.startswith("_")
}

_LATEST_VERSION = 99  # of an operator; LiteRT 2.3 knows up to 14
_MAX_TENSOR_BYTES = 1 << 31  # what a flatbuffer, and so any tensor shipped in one, can hold


def read_graph(spec: str | Path, *, deadline: Deadline | None = None) -> Graph:
    """Read a model: the path of a ``.tflite`` file, or ``zoo:NAME``.

    Raises :class:`~devices.errors.ModelError` with one sentence for whatever is wrong with it, and
    once the deadline has passed.
    """
    deadline = deadline or Deadline()
    data, name, stem = read_source(spec, deadline)
    return graph_from_bytes(data, name, stem=stem, deadline=deadline)


def graph_from_bytes(
    data: bytes, name: str, *, stem: str | None = None, deadline: Deadline | None = None
) -> Graph:
    """Read a model from memory, which messages call ``name``.  Raises as :func:`read_graph`."""
    stem = Path(name).stem if stem is None else stem
    return _Reader(name).read(data, stem, deadline or Deadline())


def graphs_to_look_at(
    data: bytes, name: str, *, stem: str | None = None, deadline: Deadline | None = None
) -> tuple[Graph, ...]:
    """Every subgraph of a model as it lies in the file, also of one that cannot be compiled.

    It may be compiled already, run other subgraphs, have sizes that are not known yet (-1) or
    contradict itself; operators are in the order of the file, which need not be one in which they
    can run.  The ``source`` of each graph is the tree with this subgraph alone.  Raises
    ``ModelError`` for what is no undamaged ``.tflite`` file, and once the deadline has passed.
    """
    stem = Path(name).stem if stem is None else stem
    deadline = deadline or Deadline()
    tree, attached = read_whole_tree(name, data, deadline)
    reader = _Reader(name, strict=False)
    found = []
    for subgraph in tree.subgraphs:
        alone = copy.copy(tree)
        alone.subgraphs = [subgraph]
        found.append(reader.graph(alone, stem, len(data), attached, deadline))
    return tuple(found)


def graph_to_compile(graphs: Sequence[Graph], *, deadline: Deadline | None = None) -> Graph:
    """The graph of a file that was looked at, if it can be compiled, without reading it again.

    ``graphs`` are those of :func:`graphs_to_look_at`.  Raises as :func:`read_graph`.
    """
    first = graphs[0]
    tree = copy.copy(first.source)
    tree.subgraphs = [subgraph for graph in graphs for subgraph in graph.source.subgraphs]
    keep_first(first.name, tree)
    reader = _Reader(first.name)
    deadline = deadline or Deadline()
    return reader.sound(tree, first.stem, first.source_bytes, first.attached, deadline)


class _Reader:
    """Reads one model; exists so that every complaint names it.

    One that is not ``strict`` only complains of what cannot be read.
    """

    def __init__(self, name: str, *, strict: bool = True) -> None:
        self._name = name
        self._strict = strict

    def _bad(self, found: str) -> ModelError:
        return unsound(self._name, found)

    def _unfit(self, found: str) -> None:
        """What can be looked at, but not compiled."""
        if self._strict:
            raise self._bad(found)

    def read(self, data: bytes, stem: str, deadline: Deadline) -> Graph:
        model, attached = read_tree(self._name, data, deadline)
        return self.sound(model, stem, len(data), attached, deadline)

    def sound(
        self, model: Any, stem: str, size_bytes: int, attached: bytes, deadline: Deadline
    ) -> Graph:
        """The one subgraph of ``model``, its operators in an order in which they can run."""
        graph = self.graph(model, stem, size_bytes, attached, deadline)
        raw = graph.operators
        check_flow(self._name, raw, graph.tensors, graph.inputs, graph.outputs)
        check_types(self._name, raw, graph.tensors)
        check_quantization(self._name, raw, graph.tensors)
        graph = replace(graph, operators=in_order(self._name, raw, graph.tensors))
        deadline.check()
        graph = with_sound_shapes(graph, deadline)
        folded = with_constants_folded(graph)
        return folded if folded is graph else with_sound_shapes(folded, deadline)

    def graph(
        self, model: Any, stem: str, size_bytes: int, attached: bytes, deadline: Deadline
    ) -> Graph:
        """The one subgraph of ``model``, in the order of the file."""
        subgraph = model.subgraphs[0]
        operators = [self._operator(model, i) for i in range(len(subgraph.operators))]
        self._refuse_compiled(model, operators)
        inputs = self._ends(subgraph, "inputs")
        tensors = self._tensors(model, subgraph, operators, inputs)
        deadline.check()
        return Graph(
            name=self._name,
            stem=stem,
            operators=tuple(operators),
            tensors=tensors,
            inputs=inputs,
            outputs=self._ends(subgraph, "outputs"),
            source=model,
            source_bytes=size_bytes,
            attached=attached,
        )

    def _operator(self, model: Any, index: int) -> Operator:
        operator = model.subgraphs[0].operators[index]
        codes = model.operatorCodes or []
        if not 0 <= operator.opcodeIndex < len(codes):
            raise self._bad(
                f"operator {index} has operator code {operator.opcodeIndex}, "
                f"but the model has only {len(codes)}"
            )
        code = codes[operator.opcodeIndex]
        builtin = tflite_file.effective_code(code)
        is_custom = builtin == tflite_file.CUSTOM
        if is_custom:
            kind = text(code.customCode)
            if not kind:
                raise self._bad(f"operator {index} is a custom operator without a name")
        else:
            if builtin not in _KINDS:
                raise self._bad(
                    f"operator {index} has the unknown code {builtin}; "
                    "the model needs a newer ai-edge-litert"
                )
            kind = _KINDS[builtin]
        if not 0 < int(code.version) <= _LATEST_VERSION:
            raise self._bad(
                f"operator {index} ({kind}) has version {code.version}, where 1 to "
                f"{_LATEST_VERSION} are possible; the file is damaged"
            )
        for number, options in (
            (operator.builtinOptionsType, operator.builtinOptions),
            (operator.builtinOptions2Type, operator.builtinOptions2),
        ):
            if number and options is None:
                raise self._bad(f"operator {index} ({kind}) has options of unknown type {number}")
        options = (
            operator.builtinOptions
            if operator.builtinOptions is not None
            else operator.builtinOptions2
        )
        count = len(model.subgraphs[0].tensors)
        where = f"operator {index} ({kind})"
        return Operator(
            index=index,
            file_index=index,
            kind=kind,
            is_custom=is_custom,
            version=int(code.version),
            inputs=self._indices(operator.inputs, count, f"{where} reads", optional=True),
            outputs=self._indices(operator.outputs, count, f"{where} writes"),
            intermediates=self._indices(operator.intermediates, count, f"{where} uses", True),
            options=options,
        )

    def _indices(
        self, found: Any, count: int, where: str, optional: bool = False
    ) -> tuple[int, ...]:
        indices = () if found is None else tuple(int(i) for i in found)
        for index in indices:
            if not (0 <= index < count or (optional and index == NO_TENSOR)):
                raise self._bad(f"{where} tensor {index}, but the model has {count} tensors")
        return indices

    def _ends(self, subgraph: Any, which: str) -> tuple[int, ...]:
        found = self._indices(
            getattr(subgraph, which), len(subgraph.tensors), f"the list of graph {which} names"
        )
        if which == "outputs" and not found:
            self._unfit("the model has no outputs, there is nothing to compute")
        return tuple(dict.fromkeys(found))

    def _refuse_compiled(self, model: Any, operators: list[Operator]) -> None:
        names = [text(entry.name) for entry in model.metadata or ()]
        if METADATA_NAME in names or any(o.kind == CUSTOM_OPERATOR for o in operators):
            self._unfit(
                "the model is already compiled for the Edge TPU; give the .tflite it was made from"
            )

    def _tensors(
        self, model: Any, subgraph: Any, operators: list[Operator], inputs: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        made = {t for operator in operators for t in operator.outputs}
        activations = made | set(inputs)
        # LiteRT reads names as C does, to the first NUL.
        file_names = [text(tensor.name).partition("\0")[0] for tensor in subgraph.tensors]
        unique = _unique_names(file_names, activations)
        tensors = []
        for index, tensor in enumerate(subgraph.tensors):
            where = f"tensor {index} ({file_names[index]})"
            shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
            if any(n < 0 for n in shape):
                self._unfit(
                    f"{where} has the dynamic shape {list(shape)}; the Edge TPU needs constant "
                    "sizes, convert the model with a fixed input shape"
                )
            data = self._data(model, tensor, where)
            if data is not None and index in activations and not tensor.isVariable:
                self._unfit(f"{where} is a constant, yet it is written at run time")
            quantization = tensor.quantization
            scales = _numbers(quantization, "scale")
            zero_points = _numbers(quantization, "zeroPoint")
            tensors.append(
                Tensor(
                    index=index,
                    name=unique[index],
                    shape=shape,
                    element_type=int(tensor.type),
                    data=data,
                    is_variable=bool(tensor.isVariable),
                    scales=tuple(scales),
                    zero_points=tuple(zero_points),
                    quantized_dimension=int(getattr(quantization, "quantizedDimension", 0)),
                )
            )
            if tensors[-1].element_type not in tflite_file.TYPE_NAMES:
                raise self._bad(
                    f"{where} has the unknown element type {tensor.type}; the model needs a newer "
                    "ai-edge-litert"
                )
            if tensors[-1].size_bytes > _MAX_TENSOR_BYTES:
                raise self._bad(
                    f"{where} has shape {list(shape)}, which needs {tensors[-1].size_bytes} "
                    f"bytes where at most {_MAX_TENSOR_BYTES} are possible; the file is damaged"
                )
            self._check_constant(tensors[-1], where, sparse=tensor.sparsity is not None)
            if self._strict:
                check_tensor(self._name, tensors[-1])
        return tuple(tensors)

    def _data(self, model: Any, tensor: Any, where: str) -> NDArray[np.uint8] | None:
        index = int(tensor.buffer)
        if index == 0:
            return None
        if index >= len(model.buffers):
            raise self._bad(
                f"{where} is stored in buffer {index}, but the model has {len(model.buffers)}"
            )
        data = model.buffers[index].data
        return None if data is None or len(data) == 0 else np.asarray(data, np.uint8)

    def _check_constant(self, tensor: Tensor, where: str, *, sparse: bool) -> None:
        known = tflite_file.element_bits(tensor.element_type) is not None
        unknown_size = any(n < 0 for n in tensor.shape)
        if tensor.data is None or not known or sparse or unknown_size:
            return  # strings carry their own lengths, sparse constants are shorter than dense ones
        if tensor.data.size != tensor.size_bytes:
            raise self._bad(
                f"the constant of {where} has {tensor.data.size} bytes where "
                f"{tensor.dtype} {list(tensor.shape)} needs {tensor.size_bytes}; "
                "the file is damaged"
            )


def _numbers(quantization: Any, field: str) -> list[Any]:
    found = getattr(quantization, field, None)
    return [] if found is None else np.asarray(found).tolist()


def _unique_names(names: list[str], activations: set[int]) -> list[str]:
    """``names`` with ``#INDEX`` behind each that another activation has too, or that is empty."""
    count: dict[str, int] = {}
    for index in activations:
        count[names[index]] = count.get(names[index], 0) + 1
    unique = list(names)
    taken = {name for name, uses in count.items() if uses == 1}
    for index in sorted(activations):
        name = names[index]
        if name and count[name] == 1:
            continue
        candidate = f"{name}#{index}"
        while candidate in taken:
            candidate += f"#{index}"
        taken.add(candidate)
        unique[index] = candidate
    return unique
