"""Whether an operator, taken by itself, can run on the Edge TPU, and why not."""

from __future__ import annotations

from compiler.graph import NO_TENSOR, Graph, Operator, Tensor
from compiler.mapping.table import HINTS, LARGEST_ACTIVATION_BYTES, SUPPORTED, Row
from compiler.mapping.verdict import Status, Verdict
from compiler.mapping.view import View, batch_dimensions, dimensions

_ACTIVATION_TYPES = frozenset({"int8", "uint8"})
_CONSTANT_TYPES = frozenset({"int8", "uint8", "int16", "int32", "int64"})
_COPIES = frozenset(
    {
        "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SPLIT", "SPLIT_V", "CONCATENATION", "SLICE",
        "STRIDED_SLICE", "PAD", "PADV2", "TILE", "TRANSPOSE",
    }
)  # fmt: skip
"""Operators that only move values, so that they copy where nothing about the tensor changes."""

WITHOUT_WORK = _COPIES | {"PACK", "QUANTIZE", "SPACE_TO_DEPTH"}
"""Operators that compute nothing: they move values, or write the same ones with another scale."""

_CUSTOM = "custom operator"
"""The Edge TPU runs none."""


def judge(graph: Graph, index: int, min_runtime_version: int) -> Verdict:
    """The verdict on operator ``index``, taken by itself.

    :attr:`Status.MAPPED` means that it could run on the chip; whether it does also depends on the
    operators before it (:mod:`compiler.mapping.mapped`).
    """
    operator = graph.operators[index]
    view = View(
        operator,
        tuple(None if t == NO_TENSOR else graph.tensors[t] for t in operator.inputs),
        tuple(graph.tensors[t] for t in operator.outputs),
        min_runtime_version,
        {
            t: f"from {operator_name(graph, maker)}"
            for t in operator.inputs
            if t != NO_TENSOR and (maker := graph.makers[t]) is not None
        },
    )
    row = None if operator.is_custom else SUPPORTED.get(operator.kind)
    parameters = {i for limit in (row.limits if row else ()) for i in limit.parameters}
    data = [t for place, t in enumerate(operator.inputs) if place not in parameters]
    handed_over = [
        graph.tensors[t]
        for t in (*data, *operator.outputs)
        if t != NO_TENSOR and graph.is_activation(t)
    ]
    fixed = [tensor for tensor in view.inputs if tensor is not None and tensor.is_constant]
    return (
        _types(operator, handed_over, fixed)
        or _is_copy(view, handed_over)
        or _in_table(operator, row, min_runtime_version)
        or _shapes(view, handed_over, fixed)
        or _limits(view, row)
    )


def operator_name(graph: Graph, index: int) -> str:
    """How an operator is called in messages: ``SOFTMAX #41``, counted as in the file."""
    return f"{graph.operators[index].kind} #{graph.operators[index].file_index}"


def largest_activation(graph: Graph, index: int) -> Tensor | None:
    """The activation of an operator that is larger than the chip is taken to work on, if any."""
    operator = graph.operators[index]
    for t in (*operator.inputs, *operator.outputs):
        if t != NO_TENSOR and graph.is_activation(t):
            tensor = graph.tensors[t]
            if tensor.size_bytes > LARGEST_ACTIVATION_BYTES:
                return tensor
    return None


def _types(operator: Operator, handed_over: list[Tensor], fixed: list[Tensor]) -> Verdict | None:
    """What is wrong with types; of a custom operator, which nothing would mend, also that it is."""
    kind = "" if operator.is_custom else operator.kind
    custom = f"{_CUSTOM} {operator.kind!r}; " if operator.is_custom else ""
    for tensor in handed_over:
        if tensor.dtype in _ACTIVATION_TYPES and tensor.is_quantized:
            continue
        if tensor.dtype == "int16" and tensor.is_quantized:
            what = "is quantised to 16 bits, not 8"
            hint = "quantise activations to 8 bits (int8), not 16x8"
        elif tensor.dtype in _ACTIVATION_TYPES:
            what = f"is {tensor.dtype} without scale and zero point"
            hint = "quantise the model fully to 8 bits"
        else:
            what = f"is {tensor.dtype}, not quantised to 8 bits"
            hint = HINTS.get(kind, "quantise the model fully to 8 bits")
        reason = f"{custom}tensor {tensor.name!r} {what}"
        return Verdict(Status.DATA_TYPE, reason, "" if custom else hint)
    for tensor in fixed:
        if tensor.dtype not in _CONSTANT_TYPES:
            reason = f"{custom}its constant {tensor.name!r} is {tensor.dtype}"
            return Verdict(Status.DATA_TYPE, reason, "" if custom else "quantise the weights, too")
    return None


def _is_copy(view: View, handed_over: list[Tensor]) -> Verdict | None:
    """An operator that changes nothing costs nothing and ends nothing."""
    if view.operator.kind not in _COPIES or len(handed_over) != 2 or len(view.outputs) != 1:
        return None
    before, after = handed_over
    same = (before.dtype, before.scales, before.zero_points) == (
        after.dtype, after.scales, after.zero_points
    )  # fmt: skip
    if not same or before.shape != after.shape:
        return None
    if view.operator.kind == "TRANSPOSE":
        order = view.integers(1)
        if order is None or sorted(order) != list(order):
            return None
    moves = view.operator.kind == "STRIDED_SLICE" and set(view.integers(3) or ()) != {1}
    if moves or view.option("fusedActivationFunction"):
        return None
    if any(n != 1 for n in before.shape[: batch_dimensions(before.shape)]):
        return None
    return Verdict(Status.MAPPED)


def _in_table(operator: Operator, row: Row | None, runtime: int) -> Verdict | None:
    if operator.is_custom:
        return Verdict(Status.NOT_SUPPORTED, f"{_CUSTOM} {operator.kind!r}")
    if row is None:
        what = "not among the operators of the Edge TPU"
        return Verdict(Status.NOT_SUPPORTED, what, HINTS.get(operator.kind, ""))
    if row.since_runtime > runtime:
        return Verdict(
            Status.NOT_SUPPORTED,
            f"needs runtime {row.since_runtime}, and the model is compiled for {runtime}",
            f"--min_runtime_version {row.since_runtime}, where the devices have it",
        )
    return None


def _shapes(view: View, handed_over: list[Tensor], fixed: list[Tensor]) -> Verdict | None:
    if not view.inputs or not view.outputs:
        return Verdict(Status.LIMITATION, "has no input or no output")
    for tensor in fixed:
        if tensor.data is not None and tensor.data.size != tensor.size_bytes:
            return Verdict(Status.LIMITATION, f"its constant {tensor.name!r} is stored sparsely")
    for tensor in handed_over:
        outer = tensor.shape[: batch_dimensions(tensor.shape)]
        if any(n != 1 for n in outer):
            what = f"batch {outer[0]}" if len(outer) == 1 else f"outer dimensions {outer}"
            return Verdict(
                Status.RANK,
                f"tensor {tensor.name!r} is {dimensions(tensor.shape)}: {what}, must be 1",
                "export the model for a batch of 1" if len(outer) == 1 else "",
            )
    return None


def _limits(view: View, row: Row | None) -> Verdict:
    assumed = []
    for limit in () if row is None else row.limits:
        found = limit.found(view)
        if found is not None:
            reason = f"{found}; {limit.allowed}"
            return Verdict(Status.LIMITATION, reason, limit.hint, in_front=limit.in_front)
        assumed.append(limit.assumed(view))
    if view.operator.kind.startswith("RESIZE"):
        size = view.outputs[0].size_bytes
        if size > LARGEST_ACTIVATION_BYTES:
            return Verdict(
                Status.LIMITATION,
                f"output of {size / 2**20:.1f} MiB; at most {LARGEST_ACTIVATION_BYTES >> 20} MiB",
                "leave the enlarging to the program",
            )
    return Verdict(Status.MAPPED, assumed="; ".join(filter(None, assumed)))
