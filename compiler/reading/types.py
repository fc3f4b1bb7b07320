"""Whether the types of tensors agree with the operators between them.

LiteRT works some of them out anew when it prepares a model, and then the file describes tensors
that do not exist; or it refuses the model, or dies of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from compiler.graph import NO_TENSOR, Operator, Tensor
from compiler.reading.refusal import unsound

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

_MAKES = {"DEQUANTIZE": ("float16", "float32")}
"""Types that results can have, whatever the data are."""

_CONVOLVED = frozenset({"float32", "int8", "int16", "uint8"})
"""Types that LiteRT's convolutions work on."""


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
    possible = _MAKES.get(operator.kind)
    for tensor in made:
        if possible is not None and tensor.dtype not in possible:
            return f"{tensor.name!r} is {tensor.dtype}, where {' or '.join(possible)} is made"
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
