"""An order in which operators can run, whatever order a file lists them in."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.graph import NO_TENSOR, Operator
from compiler.ordering import first_come


def execution_order(operators: Sequence[Operator], is_variable: Sequence[bool]) -> list[int]:
    """Positions of the operators in an order in which each comes after the makers of all it reads.

    Users of one variable (``is_variable``, by tensor) keep their order, for each may see what the
    one before it wrote.  Operators that wait for each other in a circle are left out.
    """
    return first_come(dict(enumerate(_predecessors(operators, is_variable))))


def _predecessors(operators: Sequence[Operator], is_variable: Sequence[bool]) -> list[set[int]]:
    """By operator: those that must run before it."""
    maker = {
        t: place
        for place, operator in enumerate(operators)
        for t in operator.outputs
        if not is_variable[t]
    }
    waits: list[set[int]] = []
    last_user: dict[int, int] = {}
    for place, operator in enumerate(operators):
        before = {maker[t] for t in operator.inputs if t in maker}
        for t in {*operator.inputs, *operator.outputs}:
            if t != NO_TENSOR and is_variable[t]:
                if t in last_user:
                    before.add(last_user[t])
                last_user[t] = place
        waits.append(before)
    return waits
