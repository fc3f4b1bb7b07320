"""What came out, as plain data and as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compiler.graph import NO_TENSOR, Graph, Operator, Tensor

_FLOATS = ("float16", "float32", "float64", "bfloat16")
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Outcome:
    """A quantised model beside the float one it was made from.

    ``likeness`` has one entry per output, the fields of ``likeness.Likeness``; it is empty when no
    samples were held back.
    """

    float_model: str
    output_model: str
    graph: Graph
    float_bytes: int
    calibrated: int
    held_back: int
    likeness: Sequence[dict[str, Any]]
    duration_s: float


def left_in_float(graph: Graph) -> tuple[Operator, ...]:
    """Operators that compute with floats: all that read or make them and are no conversions."""
    return tuple(
        operator
        for operator in graph.operators
        if operator.kind not in _CONVERSIONS
        and any(
            index != NO_TENSOR
            and graph.is_activation(index)
            and graph.tensors[index].dtype in _FLOATS
            for index in (*operator.inputs, *operator.outputs)
        )
    )


def only_at_the_end(graph: Graph, operators: Sequence[Operator]) -> bool:
    """Whether these operators make nothing that any other reads: a decoder behind the network."""
    own = {operator.index for operator in operators}
    return all(
        reader in own
        for operator in operators
        for index in operator.outputs
        for reader in graph.readers[index]
    )


def named(operators: Sequence[Operator], graph: Graph) -> str:
    """Operators as messages name them, the first few, by what they make: numbers have changed."""
    names = [f"{o.kind} ({graph.tensors[o.outputs[0]].name})" for o in operators[:5]]
    more = len(operators) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def as_data(outcome: Outcome) -> dict[str, Any]:
    """For ``--json``; an infinite signal-to-noise ratio is ``null``."""
    graph = outcome.graph
    return {
        "float_model": outcome.float_model,
        "output_model": outcome.output_model,
        "float_bytes": outcome.float_bytes,
        "size_bytes": graph.source_bytes,
        "operators": len(graph),
        "float_operators": [
            {"index": o.file_index, "kind": o.kind, "output": graph.tensors[o.outputs[0]].name}
            for o in left_in_float(graph)
        ],
        "inputs": [_end(graph.tensors[index]) for index in graph.inputs],
        "outputs": [_end(graph.tensors[index]) for index in graph.outputs],
        "calibration_samples": outcome.calibrated,
        "held_back_samples": outcome.held_back,
        "likeness": [
            {key: _finite(value) for key, value in one.items()} for one in outcome.likeness
        ],
        "duration_s": round(outcome.duration_s, 3),
    }


def as_text(outcome: Outcome) -> str:
    """For people."""
    graph = outcome.graph
    lines = [
        f"Quantised {outcome.float_model} with {outcome.calibrated} samples in "
        f"{outcome.duration_s:.1f} s: {len(graph)} operators, "
        f"{outcome.float_bytes / 1e6:.1f} MB before, {graph.source_bytes / 1e6:.1f} MB now."
    ]
    for side, ends in (("Input", graph.inputs), ("Output", graph.outputs)):
        lines += [f"{side} {_shown(graph.tensors[index])}" for index in ends]
    floats = left_in_float(graph)
    if floats:
        lines.append(f"Left in float, to run on the CPU: {named(floats, graph)}")
    if outcome.likeness:
        lines += ["", f"Beside the float model, on {outcome.held_back} samples held back:"]
        lines += _table(outcome.likeness)
    else:
        lines.append("Not compared with the float model: no samples were held back.")
    lines += ["", f"Written: {outcome.output_model}; next: edgetpu_compiler {outcome.output_model}"]
    return "\n".join(lines)


def _table(likeness: Sequence[dict[str, Any]]) -> list[str]:
    rows = [("output", "SNR", "cosine", "top-1", "largest error", "largest value")]
    for one in likeness:
        top1 = one["top1_agreement"]
        rows.append(
            (
                one["output"],
                "equal" if math.isinf(one["snr_db"]) else f"{one['snr_db']:.1f} dB",
                f"{one['cosine']:.5f}",
                "-" if top1 is None else f"{top1:.1%}",
                f"{one['largest_error']:.4g}",
                f"{one['largest_value']:.4g}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _shown(tensor: Tensor) -> str:
    text = f"{tensor.name}: {tensor.dtype} {list(tensor.shape)}"
    if tensor.is_quantized:
        text += f", value = {tensor.scales[0]:.6g} * (q - {tensor.zero_points[0]})"
    return text


def _end(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "scale": tensor.scales[0] if tensor.scales else None,
        "zero_point": tensor.zero_points[0] if tensor.zero_points else None,
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
