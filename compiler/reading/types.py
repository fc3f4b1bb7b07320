"""Whether the types of tensors agree with the operators between them.

LiteRT works some of them out anew when it prepares a model, and then the file describes tensors
that do not exist; or it refuses the model, or dies of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import tflite

from compiler.graph import NO_TENSOR, Operator, Tensor
from compiler.reading.refusal import unsound
from devices.executable import tflite_file

_ALL = None
_ALIKE: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM"), (0, 1)),
    **dict.fromkeys(("CONCATENATION", "PACK"), _ALL),
    "SPLIT": (1,),
    "TRANSPOSE_CONV": (2,),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), (0,)),
    **dict.fromkeys(
        (
            "AVERAGE_POOL_2D", "DEPTH_TO_SPACE", "EXPAND_DIMS", "L2_NORMALIZATION", "LOGISTIC",
            "MAX_POOL_2D", "MEAN", "PAD", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6",
            "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE",
            "SOFTMAX", "SPACE_TO_DEPTH", "SQUEEZE", "STRIDED_SLICE", "SUM", "TANH", "TILE",
            "TRANSPOSE",
        ),
        (0,),
    ),
}  # fmt: skip
"""Operators whose results have the type of these inputs (``None``: of all)."""

_OTHERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("MUL", "int16"): ("int8", "uint8"),
    ("FULLY_CONNECTED", "uint8"): ("int16",),
    ("FULLY_CONNECTED", "int8"): ("int16",),
}
"""By operator and type of its data: which other types its results may have.  LiteRT's kernels have
them for the cell of an old quantised LSTM: gates from its sums, and their product with a state."""

_MAKES: dict[str, tuple[str, ...]] = {"DEQUANTIZE": ("float16", "float32")}
"""Types that results can have, whatever the data are."""

_QUANTIZES: dict[str, tuple[str, ...]] = {
    "float32": ("float32", "int8", "int16", "uint8"),
    "int8": ("int8", "int16", "uint8"),
    "uint8": ("int8", "int16", "uint8"),
    "int16": ("int8", "int16", "int32"),
    "int32": ("int8", "int16"),
}
"""By the type of its data: which types the result of a QUANTIZE may have."""

_INT32, _WHOLE = ("int32",), ("int32", "int64")
_NUMBERS: dict[str, dict[int, tuple[str, ...]]] = {
    "ARG_MAX": {1: _WHOLE},
    "ARG_MIN": {1: _WHOLE},
    "EXPAND_DIMS": {1: _WHOLE},
    "MEAN": {1: _INT32},
    "PAD": {1: ("int8", "int16", *_WHOLE)},
    "REDUCE_MAX": {1: _INT32},
    "REDUCE_MIN": {1: _INT32},
    "RESHAPE": {1: _INT32},
    "RESIZE_BILINEAR": {1: _INT32},
    "RESIZE_NEAREST_NEIGHBOR": {1: _INT32},
    "SLICE": {1: _WHOLE, 2: _WHOLE},
    "SPLIT": {0: _INT32},
    "STRIDED_SLICE": {1: _INT32, 2: _INT32, 3: _INT32},
    "SUM": {1: _INT32},
    "TILE": {1: _WHOLE},
    "TRANSPOSE": {1: _INT32},
    "TRANSPOSE_CONV": {0: _INT32},
}
"""Inputs that say how, not what: axes, sizes, places.  Which types they may have."""

_NEEDS_ALL = _ALIKE.keys() - {"FULLY_CONNECTED", "TRANSPOSE_CONV"} | {
    *("ARG_MAX", "ARG_MIN", "CAST", "DEQUANTIZE", "GATHER", "QUANTIZE", "RANK", "SHAPE", "UNPACK")
}
"""Operators that do not run without one of their inputs; the two can do without a bias."""

_TYPE_OPTIONS = ("inDataType", "outDataType", "outType", "outputType", "quantizedBiasType")
"""Options that are types."""

_CONVOLVED = frozenset({"float32", "int8", "int16", "uint8"})
"""Types that LiteRT's convolutions work on."""


_WEIGHTS_FORMATS = (
    int(tflite.FullyConnectedOptionsWeightsFormat.DEFAULT),
    int(tflite.FullyConnectedOptionsWeightsFormat.SHUFFLED4x16INT8),
)


def check_types(name: str, operators: Sequence[Operator], tensors: Sequence[Tensor]) -> None:
    """Raise ``ModelError`` where an operator cannot read or make what it does by their types."""
    for operator in operators:
        found = None if operator.is_custom else _contradiction(operator, tensors)
        if found is not None:
            raise unsound(
                name,
                f"the types around operator {operator.file_index} ({operator.kind}) contradict "
                f"each other: {found}; convert the model again",
            )


def _contradiction(operator: Operator, tensors: Sequence[Tensor]) -> str | None:
    made = [tensors[t] for t in operator.outputs]
    found = _wrong_option(operator) or _wrong_number(operator, tensors)
    if found is not None:
        return found
    possible = _MAKES.get(operator.kind)
    if operator.kind == "QUANTIZE" and NO_TENSOR not in operator.inputs[:1]:
        possible = _QUANTIZES.get(tensors[operator.inputs[0]].dtype) if operator.inputs else None
    for tensor in made:
        if possible is not None and tensor.dtype not in possible:
            return f"{tensor.name!r} is {tensor.dtype}, where {_either(possible)} is made"
    if NO_TENSOR in operator.inputs and operator.kind in _NEEDS_ALL:
        return f"input {operator.inputs.index(NO_TENSOR)} is missing"
    if operator.kind not in _ALIKE:
        return None
    places = _ALIKE[operator.kind]
    read = (
        operator.inputs
        if places is None
        else [operator.inputs[p] for p in places if p < len(operator.inputs)]
    )
    alike = [tensors[t] for t in read if t != NO_TENSOR]
    if "CONV" in operator.kind and alike and alike[0].dtype not in _CONVOLVED:
        allowed = ", ".join(sorted(_CONVOLVED))
        return f"{alike[0].name!r} is {alike[0].dtype}, where one of {allowed} is needed"
    for tensor in made:
        others = [_OTHERS.get((operator.kind, one.dtype), ()) for one in alike]
        if not alike or not all(tensor.dtype in other for other in others):
            alike.append(tensor)
    for tensor in alike:
        if tensor.element_type != alike[0].element_type:
            return (
                f"{alike[0].name!r} is {alike[0].dtype} and {tensor.name!r} {tensor.dtype}, where "
                "both must be the same"
            )
    return None


def _wrong_option(operator: Operator) -> str | None:
    for name in _TYPE_OPTIONS:
        value = getattr(operator.options, name, 0)
        if value not in tflite_file.TYPE_NAMES:
            return f"option {name} is {value}, which is no type"
    layout = getattr(operator.options, "weightsFormat", 0)
    if layout not in _WEIGHTS_FORMATS:
        return f"option weightsFormat is {layout}, which is no format"
    return None


def _wrong_number(operator: Operator, tensors: Sequence[Tensor]) -> str | None:
    for place, possible in _NUMBERS.get(operator.kind, {}).items():
        t = operator.inputs[place] if place < len(operator.inputs) else NO_TENSOR
        if t != NO_TENSOR and tensors[t].dtype not in possible:
            return f"{tensors[t].name!r} is {tensors[t].dtype}, where {_either(possible)} is needed"
    return None


def _either(possible: Sequence[str]) -> str:
    return " or ".join(possible)
