"""From the bytes of a model to a :class:`~compiler.graph.Graph`, refusing what is not sound.

    bytes ─► structure (every offset inside the file) ─► schema objects ─► checks ─► Graph

A model that passes has: one subgraph, all indices in range, constants as large as their shapes
say, every tensor that is read handed in or made by exactly one operator, sizes known, and its
operators in an order in which they can run (sorted here if the file's order is not one).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from compiler.graph import NO_TENSOR, Graph, Operator, Tensor
from compiler.reading.execution_order import execution_order
from compiler.reading.missing_shapes import with_missing_shapes
from compiler.reading.source import read_source
from compiler.reading.structure import DamageError, check_structure
from devices.errors import ModelError
from devices.executable import CUSTOM_OPERATOR, METADATA_NAME, tflite_file

_KINDS: dict[int, str] = {
    value: name
    for name, value in vars(schema.BuiltinOperator).items()
    if isinstance(value, int) and not name.startswith("_")
}

_MAX_TENSOR_BYTES = 1 << 31  # what a flatbuffer, and so any tensor shipped in one, can hold
_INLINE_OFFSET = 1  # an offset of 0 or 1 means: stored in the flatbuffer, not behind it


def read_graph(spec: str | Path) -> Graph:
    """Read a model: the path of a ``.tflite`` file, or ``zoo:NAME``.

    Raises :class:`~devices.errors.ModelError` with one sentence for whatever is wrong with it.
    """
    data, name, stem = read_source(spec)
    return graph_from_bytes(data, name, stem=stem)


def graph_from_bytes(data: bytes, name: str, *, stem: str | None = None) -> Graph:
    """Read a model from memory; ``name`` is what messages call it.  Raises ``ModelError``."""
    return _Reader(name).read(data, Path(name).stem if stem is None else stem)


class _Reader:
    """Reads one model; exists so that every complaint names it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _bad(self, found: str) -> ModelError:
        return ModelError(f"{self._name}: {found}.")

    def read(self, data: bytes, stem: str) -> Graph:
        model = self._parse(data)
        subgraphs = model.subgraphs or []
        if len(subgraphs) != 1:
            raise self._bad(
                f"the model has {len(subgraphs)} subgraphs, exactly one is supported "
                "(control flow such as IF, WHILE and CALL cannot be cut)"
            )
        subgraph = subgraphs[0]
        if not subgraph.operators:
            raise self._bad("the model has no operators, there is nothing to run")
        subgraph.tensors = subgraph.tensors or []
        model.buffers = model.buffers or []
        self._fetch_outside_data(model, data)
        raw = [self._operator(model, i) for i in range(len(subgraph.operators))]
        self._refuse_compiled(model, raw)
        inputs = self._ends(subgraph, "inputs")
        outputs = self._ends(subgraph, "outputs")
        tensors = self._tensors(model, subgraph, raw, inputs)
        self._check_flow(raw, tensors, inputs, outputs)
        operators = self._in_order(raw, tensors)
        graph = Graph(
            name=self._name,
            stem=stem,
            operators=operators,
            tensors=tensors,
            inputs=inputs,
            outputs=outputs,
            source=model,
            source_bytes=len(data),
        )
        return with_missing_shapes(graph)

    def _parse(self, data: bytes) -> Any:
        if data[4:8] != tflite_file.FILE_IDENTIFIER:
            raise self._bad(
                f"this is not a .tflite file: bytes 4 to 8 are {bytes(data[4:8])!r} where "
                f"{tflite_file.FILE_IDENTIFIER!r} is expected"
            )
        try:
            check_structure(data)
        except DamageError as error:
            raise self._bad(
                f"the file is truncated or damaged ({error}); fetch or convert it again"
            ) from None
        try:
            return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        except Exception as error:
            # Only option tables are left to go wrong; the generated reader has no error of its
            # own, so damage there can surface as any exception.
            raise self._bad(
                f"the options of an operator are damaged ({type(error).__name__}: {error}); "
                "fetch or convert the file again"
            ) from None

    def _fetch_outside_data(self, model: Any, data: bytes) -> None:
        """Make constants and options stored behind the flatbuffer look like all others."""
        if model.externalBuffers or model.externalBufferGroups:
            raise self._bad("its constants are in other files, a self-contained model is needed")
        everything = np.frombuffer(data, np.uint8)
        for index, buffer in enumerate(model.buffers):
            if buffer.offset > _INLINE_OFFSET:
                buffer.data = self._slice(everything, buffer.offset, buffer.size, f"buffer {index}")
            buffer.offset = buffer.size = 0
        for index, operator in enumerate(model.subgraphs[0].operators):
            if operator.largeCustomOptionsOffset > _INLINE_OFFSET:
                operator.customOptions = self._slice(
                    everything,
                    operator.largeCustomOptionsOffset,
                    operator.largeCustomOptionsSize,
                    f"the options of operator {index}",
                )
            operator.largeCustomOptionsOffset = operator.largeCustomOptionsSize = 0

    def _slice(
        self, everything: NDArray[np.uint8], start: int, size: int, what: str
    ) -> NDArray[np.uint8]:
        if start + size > everything.size:
            raise self._bad(
                f"the file is truncated: {what} lies at byte {start}..{start + size}, "
                f"but the file ends at byte {everything.size}"
            )
        return everything[start : start + size]

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
            kind = _text(code.customCode)
            if not kind:
                raise self._bad(f"operator {index} is a custom operator without a name")
        else:
            if builtin not in _KINDS:
                raise self._bad(
                    f"operator {index} has the unknown code {builtin}; "
                    "the model needs a newer ai-edge-litert"
                )
            kind = _KINDS[builtin]
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
            raise self._bad("the model has no outputs, there is nothing to compute")
        return tuple(dict.fromkeys(found))

    def _refuse_compiled(self, model: Any, operators: list[Operator]) -> None:
        names = [_text(entry.name) for entry in model.metadata or ()]
        if METADATA_NAME in names or any(o.kind == CUSTOM_OPERATOR for o in operators):
            raise self._bad(
                "the model is already compiled for the Edge TPU; give the .tflite it was made from"
            )

    def _tensors(
        self, model: Any, subgraph: Any, operators: list[Operator], inputs: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        made = {t for operator in operators for t in operator.outputs}
        activations = made | set(inputs)
        file_names = [_text(tensor.name) for tensor in subgraph.tensors]
        unique = _unique_names(file_names, activations)
        tensors = []
        for index, tensor in enumerate(subgraph.tensors):
            where = f"tensor {index} ({file_names[index]})"
            shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
            if any(n < 0 for n in shape):
                raise self._bad(
                    f"{where} has the dynamic shape {list(shape)}; the Edge TPU needs constant "
                    "sizes, convert the model with a fixed input shape"
                )
            data = self._data(model, tensor, where)
            if data is not None and index in activations and not tensor.isVariable:
                raise self._bad(f"{where} is a constant, yet it is written at run time")
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
            if tensors[-1].size_bytes > _MAX_TENSOR_BYTES:
                raise self._bad(
                    f"{where} has shape {list(shape)}, which needs {tensors[-1].size_bytes} "
                    f"bytes where at most {_MAX_TENSOR_BYTES} are possible; the file is damaged"
                )
            self._check_constant(tensors[-1], where, sparse=tensor.sparsity is not None)
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
        if tensor.data is None or not known or sparse:
            return  # strings carry their own lengths, sparse constants are shorter than dense ones
        if tensor.data.size != tensor.size_bytes:
            raise self._bad(
                f"the constant of {where} has {tensor.data.size} bytes where "
                f"{tensor.dtype} {list(tensor.shape)} needs {tensor.size_bytes}; "
                "the file is damaged"
            )

    def _check_flow(
        self,
        operators: list[Operator],
        tensors: tuple[Tensor, ...],
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
    ) -> None:
        """Every tensor read comes from somewhere, and from one place only."""
        maker: dict[int, int] = {}
        given = set(inputs)
        for operator in operators:
            for t in operator.outputs:
                if tensors[t].is_variable:
                    continue
                if t in maker or t in given:
                    first = f"operator {maker[t]}" if t in maker else "the caller"
                    raise self._bad(
                        f"tensor {t} ({tensors[t].name}) is written by {first} and "
                        f"again by operator {operator.index}"
                    )
                maker[t] = operator.index
        for t in (*inputs, *outputs):
            if tensors[t].is_variable:
                raise self._bad(
                    f"tensor {t} ({tensors[t].name}) is a variable and an input or output of the "
                    "model, it can only be one of them"
                )
        known = given | maker.keys()

        def comes_from_somewhere(t: int) -> bool:
            tensor = tensors[t]
            return (
                t in known or tensor.is_variable or tensor.data is not None or not tensor.elements
            )

        for operator in operators:
            for t in operator.inputs:
                if t != NO_TENSOR and not comes_from_somewhere(t):
                    raise self._bad(
                        f"operator {operator.index} ({operator.kind}) reads tensor {t} "
                        f"({tensors[t].name}), which nobody makes"
                    )
        for t in outputs:
            if not comes_from_somewhere(t):
                raise self._bad(f"nobody makes graph output {t} ({tensors[t].name})")

    def _in_order(
        self, operators: list[Operator], tensors: tuple[Tensor, ...]
    ) -> tuple[Operator, ...]:
        order = execution_order(operators, [tensor.is_variable for tensor in tensors])
        if len(order) < len(operators):
            stuck = min(set(range(len(operators))) - set(order))
            raise self._bad(
                f"operator {stuck} ({operators[stuck].kind}) waits for its own result, "
                "operators that depend on each other in a circle cannot run"
            )
        return tuple(replace(operators[i], index=place) for place, i in enumerate(order))


def _numbers(quantization: Any, field: str) -> list[Any]:
    found = getattr(quantization, field, None)
    return [] if found is None else np.asarray(found).tolist()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")


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
