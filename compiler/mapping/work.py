"""How much work an operator is: multiply-accumulates, bytes moved, parameters as the chip stores
them.

Parameter sizes follow formulas found by comparing Google's compiled packages byte for byte with
the models they came from (performance notes, section 1), with no error on 12 uint8 packages::

    ceil(n, m)  n rounded up to a multiple of m
    P           output channels: ceil(Cout, 64), or ceil(Cout, 16) below 64

    uint8   CONV, FC    kh kw ceil(Cin, 4) P + 4 P
            DEPTHWISE   (kh kw + 1) 4 ceil(C, 8)
    int8    CONV, FC    kh kw ceil(Cin, 4) ceil(Cout, 64) + 8 ceil(Cout, 64)
            FC of 32 outputs and less: padded to 32
            DEPTHWISE   (4 kh kw + 8) ceil(C, 64)

The int8 rows (per-channel scales need 8 bytes per channel instead of 4) were 0.25 and 0.6 % low
on the two packages at hand; that dense layers of 10 outputs are padded to 32 is seen in the sizes
of 64 published chains that end in one.  Known misses of the uint8 rows: newer packages of narrow
MobileNets v1 carry a constant tail of 48,256 bytes, LSTM packages are much larger than counted.
"""

from __future__ import annotations

from typing import Literal

from compiler.graph import NO_TENSOR, Graph, Operator, Tensor
from compiler.mapping.view import batch_dimensions
from devices.executable import OperatorWork

_LANES = 64
_NARROW_CHANNELS = 16
_NARROW_INT8_OUTPUTS = 32
_WORD_CHANNELS = 4
_DEPTHWISE_CHANNELS = 8
_UINT8_BIAS_BYTES = 4
_INT8_BIAS_BYTES = 8
_DEPTHWISE_TAP_BYTES = 4


def operator_work(graph: Graph, index: int, target: Literal["tpu", "cpu"]) -> OperatorWork:
    """The work of operator ``index``.

    On the chip, ``parameter_bytes`` is the padded size above and ``on_chip`` is preset to True;
    allocation decides later.  On the CPU it is the raw size of the constants.
    """
    operator = graph.operators[index]
    weights = _weights(graph, operator)
    out = _yxz(graph.tensors[operator.outputs[0]]) if operator.outputs else (0, 0, 0)
    kernel = _kernel(operator.kind, weights)
    return OperatorWork(
        name=operator.kind,
        target=target,
        macs=_macs(graph, operator, weights),
        input_bytes=sum(
            graph.tensors[t].size_bytes for t in graph.read_by(index) if graph.is_activation(t)
        ),
        output_bytes=sum(graph.tensors[t].size_bytes for t in operator.outputs),
        output_height=out[0],
        output_width=out[1],
        output_channels=out[2],
        input_channels=_input_channels(graph, operator),
        kernel_height=kernel[0],
        kernel_width=kernel[1],
        parameter_bytes=(
            chip_parameter_bytes(graph, index) if target == "tpu" else graph.parameter_bytes(index)
        ),
        on_chip=True,
    )


def chip_parameter_bytes(graph: Graph, index: int) -> int:
    """Bytes an operator's parameters take on the chip, padding included."""
    operator = graph.operators[index]
    weights = _weights(graph, operator)
    if operator.kind in _ELEMENTWISE:
        return sum(
            _ceil(graph.tensors[t].size_bytes, _LANES)
            for t in graph.read_by(index)
            if graph.tensors[t].is_constant
        )
    if operator.kind in _RECURRENT:
        return sum(
            _matrix_bytes(1, tensor.shape[1], tensor.shape[0], tensor.dtype)
            for t in graph.read_by(index)
            if (tensor := graph.tensors[t]).is_constant and len(tensor.shape) == 2
        )
    if weights is None:
        return 0
    if operator.kind == "DEPTHWISE_CONV_2D":
        _, height, width, channels = weights.shape
        taps = height * width
        if weights.dtype == "uint8":
            return (taps + 1) * _DEPTHWISE_TAP_BYTES * _ceil(channels, _DEPTHWISE_CHANNELS)
        return (_DEPTHWISE_TAP_BYTES * taps + _INT8_BIAS_BYTES) * _ceil(channels, _LANES)
    if operator.kind == "FULLY_CONNECTED":
        outputs, inputs = weights.shape
        if weights.dtype != "uint8" and outputs <= _NARROW_INT8_OUTPUTS:
            return (_ceil(inputs, _WORD_CHANNELS) + _INT8_BIAS_BYTES) * _NARROW_INT8_OUTPUTS
        return _matrix_bytes(1, inputs, outputs, weights.dtype)
    count, height, width, channels = weights.shape
    return _matrix_bytes(height * width, channels, count, weights.dtype)


_ELEMENTWISE = frozenset({"ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"})
_RECURRENT = frozenset({"UNIDIRECTIONAL_SEQUENCE_LSTM"})
_WEIGHTS_INPUT = {
    "CONV_2D": (1, 4),
    "DEPTHWISE_CONV_2D": (1, 4),
    "TRANSPOSE_CONV": (1, 4),
    "FULLY_CONNECTED": (1, 2),
}  # kind: (position of the weights, their rank)


def _matrix_bytes(taps: int, in_channels: int, out_channels: int, dtype: str) -> int:
    depth = taps * _ceil(in_channels, _WORD_CHANNELS)
    if dtype == "uint8":
        wide = out_channels >= _LANES
        padded = _ceil(out_channels, _LANES if wide else _NARROW_CHANNELS)
        return depth * padded + _UINT8_BIAS_BYTES * padded
    padded = _ceil(out_channels, _LANES)
    return depth * padded + _INT8_BIAS_BYTES * padded


def _ceil(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _weights(graph: Graph, operator: Operator) -> Tensor | None:
    position, rank = _WEIGHTS_INPUT.get(operator.kind, (None, 0))
    if position is None or position >= len(operator.inputs):
        return None
    index = operator.inputs[position]
    if index == NO_TENSOR or len(graph.tensors[index].shape) != rank:
        return None
    return graph.tensors[index]


def _kernel(kind: str, weights: Tensor | None) -> tuple[int, int]:
    if weights is None:
        return (0, 0)
    if kind == "FULLY_CONNECTED":
        return (1, 1)
    return (weights.shape[1], weights.shape[2])


def _yxz(tensor: Tensor) -> tuple[int, int, int]:
    """Height, width and channels: the three innermost dimensions, missing ones being 1."""
    inner = tensor.shape[batch_dimensions(tensor.shape) :]
    y, x, z = (1,) * (3 - len(inner)) + inner
    return (y, x, z)


def _input_channels(graph: Graph, operator: Operator) -> int:
    """Channels of the activation the operator works on: the first it is handed."""
    weights = _weights(graph, operator)
    if weights is not None and operator.kind != "DEPTHWISE_CONV_2D":
        return weights.shape[-1]
    for t in operator.inputs:
        if t != NO_TENSOR and graph.is_activation(t):
            return _yxz(graph.tensors[t])[2]
    return 0


def _macs(graph: Graph, operator: Operator, weights: Tensor | None) -> int:
    if operator.kind in _RECURRENT:
        sequence = next((graph.tensors[t].shape for t in operator.inputs if t != NO_TENSOR), ())
        steps = sequence[0] * sequence[1] if len(sequence) == 3 else 1
        return steps * sum(
            tensor.elements
            for t in graph.read_by(operator.index)
            if (tensor := graph.tensors[t]).is_constant and len(tensor.shape) == 2
        )
    if weights is None or not operator.outputs:
        return 0
    out = graph.tensors[operator.outputs[0]].elements
    if operator.kind == "DEPTHWISE_CONV_2D":
        return out * weights.shape[1] * weights.shape[2]
    if operator.kind == "FULLY_CONNECTED":
        return out * weights.shape[1]
    count, height, width, channels = weights.shape
    if operator.kind == "TRANSPOSE_CONV":
        # Every input element meets every tap of every filter once.
        source = operator.inputs[2] if len(operator.inputs) > 2 else NO_TENSOR
        elements = 0 if source == NO_TENSOR else graph.tensors[source].elements
        return elements * height * width * count
    return out * height * width * channels
