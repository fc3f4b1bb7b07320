"""Whether values get from the operators that make them to those that read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.graph import NO_TENSOR, Operator, Tensor
from compiler.reading.execution_order import execution_order
from compiler.reading.refusal import unsound


def check_flow(
    name: str,
    operators: Sequence[Operator],
    tensors: tuple[Tensor, ...],
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
) -> None:
    """Raise ``ModelError`` unless every tensor read comes from somewhere, and from one place."""
    maker: dict[int, int] = {}
    given = set(inputs)
    for operator in operators:
        for t in operator.outputs:
            if tensors[t].is_variable:
                continue
            if t in maker or t in given:
                first = f"operator {maker[t]}" if t in maker else "the caller"
                raise unsound(
                    name,
                    f"tensor {t} ({tensors[t].name}) is written by {first} and "
                    f"again by operator {operator.index}",
                )
            maker[t] = operator.index
    for t in (*inputs, *outputs):
        if tensors[t].is_variable:
            raise unsound(
                name,
                f"tensor {t} ({tensors[t].name}) is a variable and an input or output of the "
                "model, it can only be one of them",
            )
    known = given | maker.keys()

    def comes_from_somewhere(t: int) -> bool:
        tensor = tensors[t]
        return t in known or tensor.is_variable or tensor.data is not None or not tensor.elements

    for operator in operators:
        for t in operator.inputs:
            if t != NO_TENSOR and not comes_from_somewhere(t):
                raise unsound(
                    name,
                    f"operator {operator.index} ({operator.kind}) reads tensor {t} "
                    f"({tensors[t].name}), which nobody makes",
                )
    for t in outputs:
        if not comes_from_somewhere(t):
            raise unsound(name, f"nobody makes graph output {t} ({tensors[t].name})")


def in_order(
    name: str, operators: Sequence[Operator], tensors: tuple[Tensor, ...]
) -> tuple[Operator, ...]:
    """The operators in an order in which they can run.  Raises ``ModelError`` for a circle."""
    order = execution_order(operators, [tensor.is_variable for tensor in tensors])
    if len(order) < len(operators):
        stuck = min(set(range(len(operators))) - set(order))
        raise unsound(
            name,
            f"operator {stuck} ({operators[stuck].kind}) waits for its own result, "
            "operators that depend on each other in a circle cannot run",
        )
    return tuple(replace(operators[i], index=place) for place, i in enumerate(order))
