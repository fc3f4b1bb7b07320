"""The classifier of an imprinting model: what stands behind its embedding.

::

    ... ─► L2_NORMALIZATION ─► (QUANTIZE) ─► CONV_2D ─► MUL ─► RESHAPE ─► SOFTMAX
           [1, 1, 1, x]                      a row of   by a   [1, classes]
                                             weights a  constant
                                             class
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from compiler import Graph, NewOperator, NewTensor, Operator, Tensor, look_at
from devices.executable import CUSTOM_OPERATOR, executable_from_bytes
from pycoral.learn.last_layers import (
    FloatArray,
    Steps,
    reshape,
    softmax,
    steps_between,
    weight_steps,
    weights_and_bias,
)

_LAST = ("CONV_2D", "MUL", "RESHAPE", "SOFTMAX")
_NORMALIZED = "L2_NORMALIZATION"
_COARSER = 1.5
"""So many times as long may the steps of kept weights be as those made anew would be."""

_UNSUPPORTED = "Unsupported model architecture."


@dataclass(frozen=True, eq=False)
class Classifier:
    """What is known of an imprinting model's classifier.

    ``embedding`` is the L2-normalised tensor and ``read`` the one that the convolution reads, the
    same or rescaled.  ``weights`` ``(classes, x)`` and ``bias`` are dequantised; ``weight_steps``
    has one entry, or one for each class.  ``factor`` is what the cosines are multiplied by, and
    ``names`` are those of the four outputs.
    """

    embedding: Tensor
    read: Tensor
    weights: FloatArray
    bias: FloatArray
    weight_steps: tuple[Steps, ...]
    factor: float
    beta: float
    names: tuple[str, str, str, str]

    @property
    def dtype(self) -> str:
        """``int8`` or ``uint8``."""
        return self.read.dtype

    def operators(self, weights: FloatArray, bias: FloatArray, *, kept: int) -> list[NewOperator]:
        """The four operators for other classes: ``(classes, x)`` weights and their bias.

        The first ``kept`` rows that are as in this classifier are written as they are there: always
        in int8, where each class has a scale, and in uint8 where the one scale suits all.
        """
        conv, mul, flat, probabilities = self.names
        count, depth = weights.shape
        bound = max(1.0, float(np.linalg.norm(weights, axis=1).max())) + float(abs(bias).max())
        cosines = steps_between(-bound, bound, self.dtype).tensor(conv, (1, 1, 1, count))
        scores = steps_between(-bound * abs(self.factor), bound * abs(self.factor), self.dtype)
        kernel, offsets = weights_and_bias(
            conv,
            weights.reshape(count, 1, 1, depth),
            bias,
            steps_of(self.read),
            self._steps(weights, kept),
        )
        factor = np.full((1, 1, 1, 1), self.factor)
        by = steps_between(min(self.factor, 0.0), max(self.factor, 0.0), self.dtype)
        multiplier = NewTensor.constant(
            f"{mul}/factor", by.stored(factor), (by.scale,), (by.zero_point,)
        )
        scaled = scores.tensor(mul, (1, 1, 1, count))
        shaped = reshape(scaled, scores, flat, (1, count))
        return [
            NewOperator(
                "CONV_2D", (self.read.name, kernel, offsets), (cosines,), _pointwise(), version=3
            ),
            NewOperator("MUL", (cosines, multiplier), (scaled,), schema.MulOptionsT(), version=2),
            shaped,
            softmax(shaped.outputs[0], probabilities, self.beta),
        ]

    def _steps(self, weights: FloatArray, kept: int) -> Steps | list[Steps]:
        if self.dtype == "int8":
            own = self.weight_steps * (len(self.weights) if len(self.weight_steps) == 1 else 1)
            return [
                own[at]
                if at < kept and np.array_equal(row, self.weights[at])
                else weight_steps(row, self.dtype)
                for at, row in enumerate(weights)
            ]
        (common,), fresh = self.weight_steps, weight_steps(weights, self.dtype)
        error = np.abs(common.values(common.stored(weights)) - weights)
        suits = error.max() <= common.scale <= _COARSER * fresh.scale
        return common if kept and suits else fresh


def find_classifier(model: bytes, name: str) -> tuple[Graph, Classifier]:
    """The outer graph of an imprinting model, compiled or not, and its classifier.

    Raises ``ValueError`` for another architecture.
    """
    graph = look_at(model, name)
    normalized = _normalized(graph, model, name)
    last = graph.operators[-4:]
    kinds = tuple(operator.kind for operator in last)
    if kinds != _LAST:
        raise ValueError(
            f"The last 4 operators must be Conv2d, Mul, Reshape, Softmax; those of {name} are "
            f"{', '.join(kinds)}"
        )
    conv, mul, flat, probabilities = last
    _check_chain(graph, last)
    read = graph.tensors[conv.inputs[0]]
    maker = graph.makers[read.index]
    embedding = read
    if maker is not None and graph.operators[maker].kind == "QUANTIZE":
        embedding = graph.tensors[graph.read_by(maker)[0]] if graph.read_by(maker) else read
    if embedding.index not in normalized:
        raise ValueError(
            f"{_UNSUPPORTED} L2Norm operator must be followed with the last Conv2d operator."
        )
    if len(embedding.shape) != 4 or set(embedding.shape[:3]) != {1}:
        raise ValueError(
            "Embedding extractor's output tensor should be [1, 1, 1, x], found "
            f"{list(embedding.shape)}"
        )
    logits = graph.tensors[flat.outputs[0]]
    if len(logits.shape) != 2 or logits.shape[0] != 1:
        raise ValueError(f"Logit output tensor should be [1, x], found {list(logits.shape)}")
    if graph.outputs != probabilities.outputs:
        raise ValueError("Graph must have output from Softmax")
    return graph, _classifier(graph, embedding, read, (conv, mul, flat, probabilities))


def _check_chain(graph: Graph, last: tuple[Operator, ...]) -> None:
    """Raise ``ValueError`` unless each of the operators is whole and reads the one before."""
    for operator, needed in zip(last, (2, 2, 1, 1), strict=True):
        reads = operator.inputs[:needed]
        if len(operator.outputs) != 1 or len(reads) < needed or min(reads) < 0:
            raise ValueError(
                f"{graph.name}: {operator.kind} #{operator.index} reads {list(operator.inputs)} "
                f"and makes {list(operator.outputs)}; the file is damaged"
            )
    for before, after in pairwise(last):
        if before.outputs[0] not in after.inputs:
            raise ValueError(
                "The last 4 operators must be Conv2d, Mul, Reshape, Softmax, each behind the one "
                f"before; in {graph.name} {after.kind} does not read what {before.kind} makes"
            )


def _normalized(graph: Graph, model: bytes, name: str) -> set[int]:
    """Tensors made by L2_NORMALIZATION, on the CPU or as the end of the Edge TPU's part."""
    found = {t for one in graph.operators if one.kind == _NORMALIZED for t in one.outputs}
    customs = [operator for operator in graph.operators if operator.kind == CUSTOM_OPERATOR]
    inside: list[str] = []
    if customs and not found:
        parts = executable_from_bytes(model, Path(name)).parts
        for custom, part in zip(customs, parts, strict=True):
            package = look_at(part.model or b"", name)
            for outer, end in zip(custom.outputs, package.outputs, strict=True):
                maker = package.makers[end]
                if maker is not None and package.operators[maker].kind == _NORMALIZED:
                    found.add(outer)
            inside += [
                package.tensors[one.outputs[0]].name
                for one in package.operators
                if one.kind == _NORMALIZED
            ]
    if not found:
        remedy = (
            f"It is inside the Edge TPU's part of {name}; compile that model anew with "
            f"--intermediate_tensors {inside[-1]}, which leaves the last layers to the CPU"
            if inside
            else f"{name} has none; imprinting_base of pycoral.learn.imprinting.base_model adds it"
        )
        raise ValueError(f"{_UNSUPPORTED} Input model must have an L2Norm layer. {remedy}")
    return found


def _classifier(
    graph: Graph, embedding: Tensor, read: Tensor, last: tuple[Operator, ...]
) -> Classifier:
    conv, mul, _, probabilities = last
    kernel = graph.tensors[conv.inputs[1]]
    steps = tuple(
        Steps(kernel.dtype, scale, zero_point)
        for scale, zero_point in zip(kernel.scales, kernel.zero_points, strict=True)
    )
    eight_bits = read.dtype in ("int8", "uint8") and kernel.dtype == read.dtype
    if not eight_bits or len(read.scales) != 1 or len(steps) not in (1, *kernel.shape[:1]):
        raise ValueError(
            f"{_UNSUPPORTED} The last Conv2d of {graph.name} reads {read.dtype} with weights of "
            f"{kernel.dtype}, and both must be int8 or both uint8, with scales."
        )
    weights = _dequantized(kernel)
    if kernel.shape[1:] != embedding.shape[1:]:
        raise ValueError(
            f"{_UNSUPPORTED} The last Conv2d of {graph.name} has weights of the shape "
            f"{list(kernel.shape)} for an embedding of {embedding.shape[3]} numbers."
        )
    bias = np.zeros(len(weights))
    if len(conv.inputs) > 2 and conv.inputs[2] >= 0:
        offsets = graph.tensors[conv.inputs[2]].values().astype(float)
        bias = offsets * np.array(kernel.scales) * read.scales[0]
    constants = [graph.tensors[t] for t in mul.inputs if graph.tensors[t].is_constant]
    if len(constants) != 1 or constants[0].elements != 1 or len(constants[0].scales) != 1:
        raise ValueError(f"{_UNSUPPORTED} Mul must multiply by one constant number.")
    if probabilities.options is None:
        raise ValueError(f"{graph.name}: SOFTMAX has no options; the file is damaged")
    return Classifier(
        embedding,
        read,
        weights.reshape(len(weights), -1),
        bias,
        steps,
        float(_dequantized(constants[0]).reshape(())),
        float(probabilities.options.beta),
        tuple(graph.tensors[one.outputs[0]].name for one in last),  # type: ignore[arg-type]
    )


def steps_of(tensor: Tensor) -> Steps:
    """How the tensor is written; it has one scale."""
    return Steps(tensor.dtype, tensor.scales[0], tensor.zero_points[0])


def _dequantized(tensor: Tensor) -> FloatArray:
    """A constant's values; if it has several scales, they are of the slices along axis 0."""
    shape = (-1, *[1] * (len(tensor.shape) - 1)) if len(tensor.scales) > 1 else ()
    scales = np.array(tensor.scales).reshape(shape)
    zeros = np.array(tensor.zero_points).reshape(shape)
    values: FloatArray = scales * (tensor.values().astype(float) - zeros)
    return values


def _pointwise() -> Any:
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.padding = schema.Padding.VALID
    return options
