"""``--cut_at``: cutting a model where its user says.

A *mark* is an operator or a tensor.  It stands for a place along an order of the operators: that of
an operator is in front of it, that of a tensor right behind the operator that makes it.  What comes
before a place needs nothing from behind it, in branched graphs too, whichever order is taken; so
the segments run one after another, and the chain of them equals the uncut model::

    order of the file    0   1   2   3   4        marks 2 and b (made by 3)
                               │       │          segments 0 1, 2 3, 4
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from compiler.cutting.segments import CutOrder, obstacles_along, order_of, parts_between
from compiler.graph import Graph
from devices.errors import ConfigError, ModelError

Mark = str | int
"""``3`` or ``#3``: the operator of that number, as the log counts; else the name of a tensor.

``tensor:NAME`` is a tensor whatever its name looks like."""

_TENSOR = "tensor:"


def parts_at(
    graph: Graph, marks: Sequence[Mark], order: CutOrder = "file"
) -> tuple[tuple[int, ...], ...]:
    """The operators of each segment, ascending, when ``graph`` is cut at the marks.

    Marks may come in any order.  Raises ``ConfigError`` for one that is not in the model, leaves a
    segment without operators or can be understood in two ways, and ``ModelError`` where a state or
    a tensor forbids the cut.
    """
    along = order_of(graph, order)
    position = {index: place for place, index in enumerate(along)}
    obstacles = obstacles_along(graph, along)
    places: dict[int, Mark] = {}
    for mark in marks:
        place = _place(graph, mark, position)
        if place in places:
            raise ConfigError(
                f"cut_at names {places[place]!r} and {mark!r}, which are the same place in "
                f"{graph.name}; drop one."
            )
        if place in obstacles:
            raise ModelError(
                f"{graph.name} cannot be cut at {mark!r}: {obstacles[place]}; cut before or behind "
                "both."
            )
        places[place] = mark
    return parts_between(along, sorted(places))


def _place(graph: Graph, mark: Mark, position: Mapping[int, int]) -> int:
    """Before which place of an order a mark cuts."""
    number = _number(graph, mark)
    if number is None:
        name = str(mark).removeprefix(_TENSOR)
        maker = _maker(graph, name, mark)
        place = position[maker] + 1
        if place == len(graph):
            raise ConfigError(
                f"cut_at names {mark!r}, but no operation of {graph.name} is left behind the one "
                "that makes it; name an earlier tensor."
            )
        return place
    index = next((one.index for one in graph.operators if one.file_index == number), None)
    place = 0 if index is None else position[index]
    if place == 0:
        if index is not None:
            found = "begins with that one in this order"
        elif number in {one.file_index for one in graph.folded}:
            found = "has its result computed by the compiler"
        else:
            found = f"has operations #0 to #{len(graph) + len(graph.folded) - 1}"
        raise ConfigError(
            f"cut_at names operation {mark!r}, but {graph.name} {found}; a number is that of the "
            f"operation with which a segment begins{_tensor_of_that_name(graph, mark)}."
        )
    return place


def _number(graph: Graph, mark: Mark) -> int | None:
    """The operator's number, ``None`` for a tensor."""
    if not isinstance(mark, str):
        return operator.index(mark)
    match = re.fullmatch(r"(#?)([0-9]+)", mark)
    if match is None:
        return None
    number = int(match[2])
    if (
        not match[1]
        and number < len(graph) + len(graph.folded)
        and _tensor_of_that_name(graph, mark)
    ):
        raise ConfigError(
            f"cut_at names {mark!r}, which is both an operation and a tensor of {graph.name}; "
            f"write '#{mark}' for the operation or '{_TENSOR}{mark}' for the tensor."
        )
    return number


def _tensor_of_that_name(graph: Graph, mark: Mark) -> str:
    """How to name a tensor that is called like a number; empty if there is none."""
    if any(t.name == str(mark) and graph.makers[t.index] is not None for t in graph.tensors):
        return f" (the tensor of this name is '{_TENSOR}{mark}')"
    return ""


def _maker(graph: Graph, name: str, mark: Mark) -> int:
    """The operator that makes a tensor."""
    named = [tensor for tensor in graph.tensors if tensor.name == name]
    for tensor in named:
        maker = graph.makers[tensor.index]
        if maker is not None:
            return maker
    if named:
        kind = "an input" if graph.is_activation(named[0].index) else "a constant or a state"
        raise ConfigError(
            f"cut_at names {mark!r}, which is {kind} of {graph.name}, but a cut is behind the "
            "operation that makes a tensor; name a tensor that one makes."
        )
    made = [tensor.name for tensor in graph.tensors if graph.makers[tensor.index] is not None]
    near = get_close_matches(name, made, n=3, cutoff=0.5)
    remedy = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else "give the number of an operation instead, as the log counts them."
    )
    raise ConfigError(
        f"cut_at names {mark!r}, but no operation of {graph.name} makes a tensor of this name; "
        f"{remedy}"
    )
