"""From a graph to what is said about it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from compiler.drawing import edges_of
from compiler.graph import NO_TENSOR, Graph, Tensor
from compiler.inspecting.description import (
    OperatorFacts,
    Quantization,
    SubgraphFacts,
    TensorFacts,
)
from compiler.mapping import operator_work
from devices.executable import OperatorWork

_DIGEST_BYTES = 16


def subgraph_facts(graph: Graph, *, digests: bool) -> SubgraphFacts:
    """A graph as plain data; ``digests`` asks for those of the constants, which reads them all."""
    tensors = [tensor_facts(graph, tensor, digests=digests) for tensor in graph.tensors]
    found = graph.source.subgraphs[0].name
    return SubgraphFacts(
        name=found.decode("utf-8", "replace") if isinstance(found, bytes) else found or "",
        inputs=_named(tensors, graph.inputs),
        outputs=_named(tensors, graph.outputs),
        operators=tuple(
            OperatorFacts(
                index=operator.index,
                kind=operator.kind,
                version=operator.version,
                inputs=_named(tensors, operator.inputs),
                outputs=_named(tensors, operator.outputs),
                macs=max(0, operator_work(graph, operator.index, "cpu").macs),
                parameter_bytes=graph.parameter_bytes(operator.index),
            )
            for operator in graph.operators
        ),
        edges=edges_of(graph),
    )


def on_the_chip(facts: OperatorFacts, work: OperatorWork) -> OperatorFacts:
    """The operator as one that is mapped, with what is known of its parameters there."""
    return replace(
        facts,
        runs_on="tpu",
        chip_bytes=work.parameter_bytes,
        on_chip=work.on_chip if work.parameter_bytes else None,
    )


def tensor_facts(graph: Graph, tensor: Tensor, *, digests: bool = False) -> TensorFacts:
    """A tensor as plain data."""
    data = tensor.data if tensor.is_constant else None
    return TensorFacts(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=_shape(graph, tensor),
        size_bytes=max(0, tensor.size_bytes),
        quantization=Quantization(tensor.scales, tensor.zero_points, tensor.quantized_dimension)
        if tensor.is_quantized
        else None,
        is_constant=tensor.is_constant,
        digest=hashlib.blake2b(data.data, digest_size=_DIGEST_BYTES).hexdigest()
        if digests and data is not None
        else "",
    )


def _shape(graph: Graph, tensor: Tensor) -> tuple[int, ...]:
    """The shape, -1 where the signature of it says that a dimension is not fixed."""
    signature = graph.source.subgraphs[0].tensors[tensor.index].shapeSignature
    if signature is None or len(signature) != len(tensor.shape):
        return tensor.shape
    return tuple(
        -1 if free < 0 else size for size, free in zip(tensor.shape, signature, strict=True)
    )


def _named(tensors: Sequence[TensorFacts], indices: Sequence[int]) -> tuple[TensorFacts, ...]:
    return tuple(tensors[t] for t in indices if t != NO_TENSOR)


def numbers_of(graph: Graph) -> tuple[str, bool]:
    """What a model computes with, as a phrase, and whether that is floating point throughout."""
    activations = [tensor for tensor in graph.tensors if graph.is_activation(tensor.index)]
    constants = [tensor for tensor in graph.tensors if tensor.is_constant]
    has_8_bits = any(t.is_quantized and t.dtype in ("int8", "uint8") for t in activations)
    has_16_bits = any(t.is_quantized and t.dtype == "int16" for t in activations)
    has_floats = any(t.dtype.startswith(("float", "bfloat")) for t in activations)
    if has_8_bits:
        return ("quantised to 8 bits, partly float" if has_floats else "quantised to 8 bits"), False
    if has_16_bits:
        return "quantised to 16-bit activations", False
    if has_floats:
        if any(t.is_quantized for t in constants):
            return "float, with quantised weights", True
        halves = any(t.dtype == "float16" for t in constants)
        return ("float, with 16-bit weights" if halves else "float"), True
    return "neither float nor quantised", False
