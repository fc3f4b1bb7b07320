"""A float model as the quantiser needs it: with a signature, and with no name given twice.

The quantiser runs models by their signature, and keeps what it measured under tensors' names, so
two tensors of one name would share a range.  It measures all tensors, also those that nobody makes
or reads, which LiteRT has no memory for; so these are taken away.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from compiler.graph import NO_TENSOR, Graph
from compiler.quantizing.representative import ModelInput
from devices.errors import ModelError
from devices.executable import tflite_file

_SIGNATURE = "serving_default"
"""What Google's converter calls the only signature of a model."""


@dataclass(frozen=True)
class FloatModel:
    """A model to be quantised.

    ``signature`` is the key of the signature to run it by; ``inputs`` are in the file's order,
    each with its name in that signature as ``alias``.
    """

    data: bytes
    signature: str
    inputs: tuple[ModelInput, ...]


def prepare(graph: Graph) -> FloatModel:
    """The model of a graph.

    Raises ``ModelError``, one sentence, for one that is quantised already or has nothing to feed.
    """
    check_float(graph)
    model = own_tree(graph)
    subgraph = model.subgraphs[0]
    taken: set[str] = set()
    for tensor, known in zip(subgraph.tensors, graph.tensors, strict=True):
        name = known.name or f"tensor#{known.index}"
        while name in taken:
            name += f"#{known.index}"
        taken.add(name)
        tensor.name = name
    key, aliases = _signature(model, subgraph)
    inputs = tuple(
        ModelInput(
            subgraph.tensors[index].name,
            graph.tensors[index].shape,
            graph.tensors[index].dtype,
            aliases[index],
        )
        for index in graph.inputs
    )
    _drop_unused(model, subgraph)
    return FloatModel(tflite_file.pack_model(model), key, inputs)


def check_float(graph: Graph) -> None:
    """Raise ``ModelError`` for a model that is no float model."""
    if not graph.inputs:
        raise ModelError(f"{graph.name} has no inputs, so there is nothing to calibrate.")
    narrow = [
        tensor
        for tensor in graph.tensors
        if tensor.is_quantized and tensor.dtype in ("int4", "int8", "uint8", "int16")
    ]
    for tensor in narrow:
        if graph.is_activation(tensor.index):
            raise ModelError(
                f"{graph.name} is already quantised (tensor {tensor.name} is {tensor.dtype}); "
                "give it to edgetpu_compiler as it is."
            )
    if narrow:
        found = f"tensor {narrow[0].name} is {narrow[0].dtype}"
        raise ModelError(
            f"{graph.name} has quantised weights ({found}) and float activations; convert the "
            "original to TensorFlow Lite without optimizations and give that."
        )
    if not any(graph.tensors[t].dtype == "float32" for o in graph.operators for t in o.outputs):
        raise ModelError(
            f"{graph.name} computes nothing in float32, so there is nothing to quantise."
        )


def own_tree(graph: Graph) -> Any:
    """The schema's objects of a graph, to be changed: a copy of all but the constants."""
    buffers = graph.source.buffers
    return copy.deepcopy(graph.source, {id(buffers): buffers})


def _signature(model: Any, subgraph: Any) -> tuple[str, dict[int, str]]:
    """Key and input names of the model's signature, which it gets if it has none of use."""
    for one in model.signatureDefs or ():
        if one.subgraphIndex != 0:
            continue
        aliases = {int(entry.tensorIndex): _text(entry.name) for entry in one.inputs or ()}
        outputs = {int(entry.tensorIndex) for entry in one.outputs or ()}
        if (
            set(map(int, subgraph.inputs)) == set(aliases)
            and set(map(int, subgraph.outputs)) == outputs
        ):
            model.signatureDefs = [one]
            return _text(one.signatureKey), aliases
    made = schema.SignatureDefT()
    made.signatureKey = _SIGNATURE
    made.subgraphIndex = 0
    made.inputs = [_entry(subgraph, index) for index in dict.fromkeys(subgraph.inputs)]
    made.outputs = [_entry(subgraph, index) for index in dict.fromkeys(subgraph.outputs)]
    model.signatureDefs = [made]
    return _SIGNATURE, {int(entry.tensorIndex): entry.name for entry in made.inputs}


def _drop_unused(model: Any, subgraph: Any) -> None:
    """Take away the tensors that nobody makes, reads, is given or gives."""
    lists = [(subgraph, "inputs"), (subgraph, "outputs")]
    for operator in subgraph.operators:
        lists += [(operator, field) for field in ("inputs", "outputs", "intermediates")]
    found = {one: getattr(*one) for one in lists}
    used = sorted({int(i) for indices in found.values() if indices is not None for i in indices})
    place = {index: at for at, index in enumerate(i for i in used if i != NO_TENSOR)}
    place[NO_TENSOR] = NO_TENSOR
    for (owner, field), indices in found.items():
        if indices is not None:
            setattr(owner, field, np.array([place[int(i)] for i in indices], np.int32))
    for entry in (*model.signatureDefs[0].inputs, *model.signatureDefs[0].outputs):
        entry.tensorIndex = place[int(entry.tensorIndex)]
    subgraph.tensors = [subgraph.tensors[index] for index in used if index != NO_TENSOR]


def _entry(subgraph: Any, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name = subgraph.tensors[index].name
    entry.tensorIndex = int(index)
    return entry


def _text(name: Any) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name or "")
