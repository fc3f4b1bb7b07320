"""Which operators the Edge TPU can run, and under which limits.

The table and its limits are those of Coral's page "TensorFlow models on the Edge TPU" (table of
supported operations); the status texts are those the Edge TPU Compiler prints.  Where the page
is vague ("certain reshapes might not be mapped for large tensor sizes") nothing is refused.

Dimensions are counted as the page does: the three innermost are y, x and z; all before them are
batch dimensions, which must be 1.

Options are compared with the enums of the package ``tflite``; operators go by name, because that
package does not know the newest ones (:mod:`compiler.reading.reader`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import tflite

from compiler.graph import NO_TENSOR, Graph, Operator, Tensor

_INNER_DIMENSIONS = 3
_SOFTMAX_MAX_ELEMENTS = 16_000
_Z_REDUCTION_MULTIPLE = 4
_RUNTIME_13 = 13


class Status(Enum):
    """What became of an operator; the value is the text the compiler's log shows."""

    MAPPED = "Mapped to Edge TPU"
    NOT_SUPPORTED = "Operation not supported"
    SECOND_SUBGRAPH = "More than one subgraph is not supported"
    DATA_TYPE = "Operation is working on an unsupported data type"
    RANK = "Tensor has unsupported rank (up to 3 innermost dimensions mapped)"
    LIMITATION = (
        "Operation is otherwise supported, but not mapped due to some unspecified limitation"
    )


@dataclass(frozen=True)
class View:
    """One operator with the tensors it works on, as the limits below look at it.

    ``inputs`` has ``None`` for optional inputs left out.
    """

    operator: Operator
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    runtime: int

    def option(self, name: str, default: int = 0) -> int:
        """A number from the operator's options; the schema's default when it has none."""
        value = getattr(self.operator.options, name, None)
        return default if value is None else int(value)

    def integers(self, position: int) -> tuple[int, ...] | None:
        """The values of an input that must be a constant; ``None`` if it is not one."""
        if position >= len(self.inputs):
            return None
        tensor = self.inputs[position]
        if tensor is None or tensor.is_variable:
            return None
        if tensor.data is None:
            return () if tensor.elements == 0 else None
        return tuple(int(v) for v in tensor.values().reshape(-1))


Limit = Callable[[View], bool]
"""True when the operator is within the limit."""


def batch_dimensions(shape: tuple[int, ...]) -> int:
    """How many dimensions lie outside the three innermost."""
    return max(0, len(shape) - _INNER_DIMENSIONS)


def _axes(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return tuple(axis + rank if axis < 0 else axis for axis in axes)


def _shape(tensor: Tensor | None) -> tuple[int, ...]:
    return () if tensor is None else tensor.shape


def _constant(*positions: int) -> Limit:
    """These inputs are part of the model ("parameters are constant at compile-time")."""

    def within(view: View) -> bool:
        for position in positions:
            tensor = view.inputs[position] if position < len(view.inputs) else None
            if tensor is not None and not tensor.is_constant and tensor.elements:
                return False
        return True

    return within


def _no_fused_activation(view: View) -> bool:
    return view.option("fusedActivationFunction") == int(tflite.ActivationFunctionType.NONE)


def _same_dilation(view: View) -> bool:
    return view.option("dilationWFactor", 1) == view.option("dilationHFactor", 1)


def _no_dilation_before_13(view: View) -> bool:
    dilated = view.option("dilationWFactor", 1) != 1 or view.option("dilationHFactor", 1) != 1
    return view.runtime >= _RUNTIME_13 or not dilated


def _zero_padding_only(view: View) -> bool:
    """A constant among concatenated tensors means: exactly two, and the constant is all zero."""
    constants = [tensor for tensor in view.inputs if tensor is not None and tensor.is_constant]
    if not constants:
        return True
    if len(view.inputs) != 2 or len(constants) != 1:
        return False
    zero = constants[0].zero_points[0] if constants[0].zero_points else 0
    return bool(np.all(constants[0].values() == zero))


def _default_weights(view: View) -> bool:
    return view.option("weightsFormat") == int(tflite.FullyConnectedOptionsWeightsFormat.DEFAULT)


def _one_dimensional(shape: tuple[int, ...]) -> bool:
    return all(n == 1 for n in shape[:-1])


def _output_one_dimensional(view: View) -> bool:
    return _one_dimensional(_shape(view.outputs[0]))


def _softmax_size(view: View) -> bool:
    shape = _shape(view.inputs[0])
    return _one_dimensional(shape) and (not shape or shape[-1] <= _SOFTMAX_MAX_ELEMENTS)


def _mean_axes(view: View) -> bool:
    axes = view.integers(1)
    if axes is None:
        return False
    shape = _shape(view.inputs[0])
    rank = len(shape)
    places = _axes(axes, rank)
    if any(axis < batch_dimensions(shape) for axis in places):
        return False
    if rank - 1 not in places:
        return True
    return view.runtime >= _RUNTIME_13 and shape[-1] % _Z_REDUCTION_MULTIPLE == 0


def _z_reduction_only(view: View) -> bool:
    axes = view.integers(1)
    rank = len(_shape(view.inputs[0]))
    return axes is not None and _axes(axes, rank) == (rank - 1,)


def _no_batch_packing(view: View) -> bool:
    shape = _shape(view.outputs[0])
    (axis,) = _axes((view.option("axis"),), len(shape))
    return axis >= batch_dimensions(shape)


def _padding(view: View) -> bool:
    values = view.integers(1)
    shape = _shape(view.inputs[0])
    if values is None or len(values) != 2 * len(shape):
        return False
    padded = [axis for axis in range(len(shape)) if values[2 * axis] or values[2 * axis + 1]]
    if any(axis < batch_dimensions(shape) for axis in padded):
        return False
    return view.runtime >= _RUNTIME_13 or len(shape) - 1 not in padded


def _three_dimensional_resize(view: View) -> bool:
    return len(_shape(view.inputs[0])) == 4 and len(_shape(view.outputs[0])) == 4


def _no_batch_split(view: View) -> bool:
    axes = view.integers(0)
    shape = _shape(view.inputs[1]) if len(view.inputs) > 1 else ()
    return (
        axes is not None
        and len(axes) == 1
        and _axes(axes, len(shape))[0] >= batch_dimensions(shape)
    )


def _squeeze_keeps_layout(view: View) -> bool:
    """Up to runtime 12 only leading ones may go, so that no data moves."""
    if view.runtime >= _RUNTIME_13:
        return True
    before, after = _shape(view.inputs[0]), _shape(view.outputs[0])
    return len(after) <= len(before) and (
        before[len(before) - len(after) :] == after
        and all(n == 1 for n in before[: len(before) - len(after)])
    )


def _plain_strides(view: View) -> bool:
    strides = view.integers(3)
    return (
        strides is not None
        and all(stride == 1 for stride in strides)
        and view.option("ellipsisMask") == 0
        and view.option("newAxisMask") == 0
    )


@dataclass(frozen=True)
class Support:
    """The first runtime version that runs an operator, and its limits."""

    since_runtime: int = 0
    limits: tuple[Limit, ...] = ()


SUPPORTED: Mapping[str, Support] = {
    "ADD": Support(),
    "AVERAGE_POOL_2D": Support(limits=(_no_fused_activation,)),
    "CONCATENATION": Support(limits=(_no_fused_activation, _zero_padding_only)),
    "CONV_2D": Support(limits=(_constant(1, 2), _same_dilation)),
    "DEPTHWISE_CONV_2D": Support(limits=(_constant(1, 2), _same_dilation, _no_dilation_before_13)),
    "EXPAND_DIMS": Support(13, (_constant(1),)),
    "FULLY_CONNECTED": Support(limits=(_constant(1, 2), _default_weights, _output_one_dimensional)),
    "L2_NORMALIZATION": Support(limits=(_no_fused_activation,)),
    "LOGISTIC": Support(),
    "MAXIMUM": Support(),
    "MAX_POOL_2D": Support(limits=(_no_fused_activation,)),
    "MEAN": Support(limits=(_mean_axes,)),
    "MINIMUM": Support(),
    "MUL": Support(),
    "PACK": Support(13, (_no_batch_packing,)),
    "PAD": Support(limits=(_padding,)),
    "QUANTIZE": Support(13),
    "RELU": Support(),
    "RELU6": Support(),
    "RELU_N1_TO_1": Support(),
    "RESHAPE": Support(limits=(_constant(1),)),
    "RESIZE_BILINEAR": Support(limits=(_constant(1), _three_dimensional_resize)),
    "RESIZE_NEAREST_NEIGHBOR": Support(limits=(_constant(1), _three_dimensional_resize)),
    "SLICE": Support(limits=(_constant(1, 2),)),
    "SOFTMAX": Support(limits=(_softmax_size,)),
    "SPACE_TO_DEPTH": Support(),
    "SPLIT": Support(limits=(_no_batch_split,)),
    "SQUEEZE": Support(limits=(_squeeze_keeps_layout,)),
    "STRIDED_SLICE": Support(limits=(_constant(1, 2, 3), _plain_strides)),
    "SUB": Support(),
    "SUM": Support(13, (_z_reduction_only,)),
    "TANH": Support(),
    "TRANSPOSE_CONV": Support(13, (_constant(0, 1, 3),)),
    # Not in the page's table, but Google's own keras_lstm_mnist_ptq_edgetpu.tflite (minimum
    # runtime 12) maps it: its single operator is the custom one, states included.
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Support(12),
}


def _is_packed(tensor: Tensor) -> bool:
    """Stored sparsely, so that its values cannot be read as they lie."""
    return tensor.data is not None and tensor.data.size != tensor.size_bytes


_ACTIVATION_TYPES = frozenset({"int8", "uint8"})
_CONSTANT_TYPES = frozenset({"int8", "uint8", "int16", "int32", "int64"})


def status_of(graph: Graph, index: int, min_runtime_version: int) -> Status:
    """Whether operator ``index``, taken by itself, could run on the Edge TPU.

    :attr:`Status.MAPPED` means yes; whether it *is* mapped also depends on the operators before
    it (:mod:`compiler.mapping.mapped`).
    """
    operator = graph.operators[index]
    view = View(
        operator,
        tuple(None if t == NO_TENSOR else graph.tensors[t] for t in operator.inputs),
        tuple(graph.tensors[t] for t in operator.outputs),
        min_runtime_version,
    )
    handed_over = [
        graph.tensors[t]
        for t in (*operator.inputs, *operator.outputs)
        if t != NO_TENSOR and graph.is_activation(t)
    ]
    fixed = [tensor for tensor in view.inputs if tensor is not None and tensor.is_constant]
    if any(
        tensor.dtype not in _ACTIVATION_TYPES or not tensor.is_quantized for tensor in handed_over
    ) or any(tensor.dtype not in _CONSTANT_TYPES for tensor in fixed):
        return Status.DATA_TYPE
    support = SUPPORTED.get(operator.kind)
    if support is None or operator.is_custom or support.since_runtime > min_runtime_version:
        return Status.NOT_SUPPORTED
    if not view.inputs or not view.outputs or any(_is_packed(tensor) for tensor in fixed):
        return Status.LIMITATION
    if any(n != 1 for t in handed_over for n in t.shape[: batch_dimensions(t.shape)]):
        return Status.RANK
    if not all(within(view) for within in support.limits):
        return Status.LIMITATION
    return Status.MAPPED
