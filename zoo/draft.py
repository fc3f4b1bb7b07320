"""The bookkeeping of a model in the making: tensors, operators, names, ranges, ties.

:class:`zoo.builder.GraphBuilder` says what an operator *is*; this says where it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.layers import Layer, Vector
from zoo.quantization import Quantization, Range, Ties
from zoo.serialize import OperatorDraft, PerChannel, TensorDraft, serialize
from zoo.statistics import Statistics


@dataclass(frozen=True)
class Tensor:
    """A value in the graph, handed from one builder method to the next.

    ``values`` is the range it is expected to stay in; ``group`` the tie group its quantisation
    belongs to.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    statistics: Statistics
    values: Range
    group: int


@dataclass(frozen=True)
class _PendingBias:
    """A bias waiting for the scale of its layer's input, which later ties may still change."""

    tensor: int
    input_group: int
    layer: Layer


class Draft:
    """Collects tensors and operators, and writes them down once everything is known.

    ``between`` is called before each tensor and may raise, to give up.
    """

    def __init__(
        self, name: str, description: str = "", between: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self._between = between
        self.description = description or name
        self.ties = Ties()
        self._tensors: list[TensorDraft] = []
        self._groups: list[int | None] = []
        self._operators: list[OperatorDraft] = []
        self._pending: list[_PendingBias] = []
        self._inputs: list[int] = []
        self._outputs: list[int] = []
        self._names: set[str] = set()
        self._read: set[int] = set()
        self.parameters = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference: convolutions and fully connected layers."""
        return sum(operator.macs for operator in self._operators)

    @property
    def operator_count(self) -> int:
        return len(self._operators)

    def _claim(self, name: str) -> None:
        if name in self._names:
            raise ValueError(f"model {self.name!r} already has a tensor named {name!r}")
        self._names.add(name)

    def _append(self, tensor: TensorDraft, group: int | None) -> int:
        if self._between is not None:
            self._between()
        self._claim(tensor.name)
        self._tensors.append(tensor)
        self._groups.append(group)
        return len(self._tensors) - 1

    def activation(
        self,
        name: str,
        shape: Sequence[int],
        statistics: Statistics,
        values: Range,
        *,
        fixed: Quantization | None = None,
        tied_to: Sequence[Tensor] = (),
        dtype: str = "int8",
    ) -> Tensor:
        """A tensor computed at run time; ``tied_to`` get the same quantisation."""
        group = self.ties.new(values, fixed)
        for other in tied_to:
            self.ties.tie(other.group, group)
        draft = TensorDraft(name, tuple(shape), dtype)
        index = self._append(draft, group if dtype == "int8" else None)
        return Tensor(index, name, tuple(shape), statistics, values, group)

    def constant(self, name: str, data: NDArray[Any]) -> int:
        """An unquantised constant (a shape, paddings, anchors); returns its tensor index."""
        return self._append(TensorDraft(name, data.shape, data.dtype.name, data=data), None)

    def vector(self, name: str, vector: Vector) -> int:
        """A constant (1, 1, 1, channels), quantised as weights are; counts as parameters."""
        shape = (1, 1, 1, vector.values.size)
        quantization = PerChannel(np.array([vector.scale]), axis=0)
        self.parameters += vector.values.size
        return self._append(
            TensorDraft(name, shape, "int8", quantization, vector.values.reshape(shape)), None
        )

    def parameters_of(
        self, name: str, layer: Layer, source: Tensor, *, axis: int
    ) -> tuple[int, int]:
        """The weights and the bias of ``layer`` reading ``source``, as two constants.

        ``axis`` is the output channels' axis of the weights.
        """
        weights = TensorDraft(
            f"{name}/weights",
            layer.weights.shape,
            "int8",
            PerChannel(layer.scales, axis if layer.scales.size > 1 else 0),
            layer.weights,
        )
        weights_index = self._append(weights, None)
        bias_index = self._append(TensorDraft(f"{name}/bias", layer.bias.shape, "int32"), None)
        self._pending.append(_PendingBias(bias_index, source.group, layer))
        self.parameters += layer.weights.size + layer.bias.size
        return weights_index, bias_index

    def operator(
        self,
        code: str,
        version: int,
        inputs: Sequence[Tensor | int],
        outputs: Sequence[Tensor],
        options_type: str | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        macs: int = 0,
        custom_code: str | None = None,
        custom_options: bytes = b"",
    ) -> None:
        """Adds one operator reading and making tensors that exist already."""
        sources = tuple(t if isinstance(t, int) else t.index for t in inputs)
        self._read.update(sources)
        self._operators.append(
            OperatorDraft(
                code,
                version,
                sources,
                tuple(t.index for t in outputs),
                options_type,
                options or {},
                custom_code,
                custom_options,
                macs,
            )
        )

    def is_read(self, tensor: Tensor) -> bool:
        return tensor.index in self._read

    def graph_input(self, tensor: Tensor) -> None:
        self._inputs.append(tensor.index)

    def graph_output(self, tensor: Tensor) -> None:
        self._outputs.append(tensor.index)

    def finish(self, *, floating: bool = False) -> bytes:
        """The model as bytes of a ``.tflite`` file, every scale and bias now being known.

        ``floating`` gives it as it was before quantisation: all int8 tensors are float32, with
        the values that the integers stand for.
        """
        if not self._inputs or not self._outputs or not self._operators:
            raise ValueError(f"model {self.name!r} needs an input, an operator and an output")
        if floating:
            return self._finish_floating()
        tensors = list(self._tensors)
        for index, group in enumerate(self._groups):
            if group is not None:
                quantization = self.ties.quantization(group)
                tensors[index] = replace(tensors[index], quantization=quantization)
        for pending in self._pending:
            input_scale = self.ties.quantization(pending.input_group).scale
            tensors[pending.tensor] = replace(
                tensors[pending.tensor],
                data=pending.layer.integer_bias(input_scale),
                quantization=PerChannel(input_scale * pending.layer.scales, axis=0),
            )
        return serialize(tensors, self._operators, self._inputs, self._outputs, self.description)

    def _finish_floating(self) -> bytes:
        biases = {pending.tensor: pending.layer.bias for pending in self._pending}
        tensors = [_floating(draft, biases.get(i)) for i, draft in enumerate(self._tensors)]
        # A change of scale changes nothing here: who reads its result reads its source instead.
        source = {
            one.outputs[0]: one.inputs[0] for one in self._operators if one.code in _RESCALING
        }

        def origin(index: int) -> int:
            while index in source:
                index = source[index]
            return index

        operators = [
            replace(one, inputs=tuple(map(origin, one.inputs)))
            for one in self._operators
            if one.code not in _RESCALING
        ]
        outputs = [origin(index) for index in self._outputs]
        used = sorted({*self._inputs, *outputs}.union(*(o.inputs + o.outputs for o in operators)))
        place = {index: at for at, index in enumerate(used)}
        return serialize(
            [tensors[index] for index in used],
            [
                replace(
                    one,
                    inputs=tuple(place[i] for i in one.inputs),
                    outputs=tuple(place[i] for i in one.outputs),
                )
                for one in operators
            ],
            [place[index] for index in self._inputs],
            [place[index] for index in dict.fromkeys(outputs)],
            self.description,
        )


_RESCALING = frozenset({"QUANTIZE", "DEQUANTIZE"})


def _floating(draft: TensorDraft, bias: NDArray[np.float64] | None) -> TensorDraft:
    """A tensor with the real values of its integers; those without a scale stay as they are."""
    if bias is not None:
        return TensorDraft(draft.name, draft.shape, "float32", data=bias.astype(np.float32))
    if draft.dtype != "int8":
        return draft
    if draft.data is None or not isinstance(draft.quantization, PerChannel):
        return TensorDraft(draft.name, draft.shape, "float32")
    along = [1] * len(draft.shape)
    along[draft.quantization.axis] = draft.quantization.scales.size
    real = draft.data * draft.quantization.scales.reshape(along)
    return TensorDraft(draft.name, draft.shape, "float32", data=real.astype(np.float32))


def int32(values: Sequence[int] | int) -> NDArray[np.int32]:
    """A shape, an axis or paddings, as LiteRT reads them."""
    return np.array(values, np.int32)
