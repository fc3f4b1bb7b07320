"""Computing what is known before run time: sizes that a model asks its own tensors for.

Converters write the target of a RESHAPE as operators when the model leaves its batch open, though
every size is known where a model is compiled::

    x ─► SHAPE ─► STRIDED_SLICE ─► PACK ─► RESHAPE        the target becomes a constant,
    └───────────────────────────────────────┘             and the three operators are left out

The Edge TPU computes with constant sizes, so the sizes in the file are the ones that count, also
for dimensions that ``shape_signature`` leaves open.

Only integers of the kinds below are computed, as LiteRT's kernels do.  Whatever is not certain
(an activation, a division by zero, numbers beyond 32 bits, a result of another shape or type than
the file says) is left to LiteRT.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.graph import NO_TENSOR, Graph, Operator, Tensor

Values = NDArray[np.int64]
"""Integers of a tensor, whichever of the two types it has."""

_INTEGERS = ("int32", "int64")
_MOST_ELEMENTS = 1024
"""Of a tensor whose values are followed: sizes are few."""

_LOWEST, _HIGHEST = -(1 << 31), (1 << 31) - 1


def with_constants_folded(graph: Graph) -> Graph:
    """The graph without the operators whose results are known, which are constants in it.

    They are listed in :attr:`~compiler.graph.Graph.folded`.  A result that the model hands out
    stays computed.  Shapes of all that is read must be sound, and are not looked at again: the
    operators that read the new constants may contradict them.
    """
    outputs = frozenset(graph.outputs)
    known: dict[int, Values] = {}
    folded: list[Operator] = []
    for operator in graph.operators:
        if operator.is_custom or operator.kind not in _KINDS:
            continue
        made = [graph.tensors[t] for t in operator.outputs]
        if not outputs.isdisjoint(operator.outputs) or not all(map(_is_small, made)):
            continue
        found = _results(graph, operator, known)
        if len(found) == len(made) and all(map(_fits, found, made)):
            known |= {
                t: np.asarray(one, np.int64) for t, one in zip(operator.outputs, found, strict=True)
            }
            folded.append(operator)
    if not folded:
        return graph
    tensors = list(graph.tensors)
    for t in (t for operator in folded for t in operator.outputs):
        data = known[t].astype(tensors[t].dtype).reshape(-1).view(np.uint8)
        tensors[t] = replace(tensors[t], data=data)
    left_out = {operator.index for operator in folded}
    kept = (one for one in graph.operators if one.index not in left_out)
    return replace(
        graph,
        tensors=tuple(tensors),
        operators=tuple(replace(one, index=place) for place, one in enumerate(kept)),
        folded=tuple(folded),
    )


def _is_small(tensor: Tensor) -> bool:
    return (
        tensor.dtype in _INTEGERS
        and 0 < tensor.elements <= _MOST_ELEMENTS
        and not (tensor.is_variable or tensor.is_quantized)
    )


def _fits(found: Values, tensor: Tensor) -> bool:
    found = np.asarray(found)  # what is taken out of a list of numbers is no array
    return found.shape == tensor.shape and _in_range(found)


def _in_range(found: NDArray[Any]) -> bool:
    return all(_LOWEST <= int(value) <= _HIGHEST for value in found.reshape(-1))


def _results(graph: Graph, operator: Operator, known: Mapping[int, Values]) -> Sequence[Values]:
    """What an operator makes, nothing where that is not certain."""
    if getattr(operator.options, "fusedActivationFunction", 0) or NO_TENSOR in operator.inputs:
        return ()
    if operator.kind in _OF_SHAPES:
        if len(operator.inputs) != 1:
            return ()
        return (np.array(_OF_SHAPES[operator.kind](graph.tensors[operator.inputs[0]].shape)),)
    read = [_values(graph.tensors[t], known) for t in operator.inputs]
    present = [values for values in read if values is not None]
    if not present or len(present) < len(read):
        return ()
    try:
        if operator.kind == "UNPACK":
            return list(np.moveaxis(present[0], _option(operator, "axis"), 0))
        found = _OF_VALUES[operator.kind](operator, present)
    except (ArithmeticError, IndexError, TypeError, ValueError):
        return ()  # nothing that can be computed
    return () if found is None else (found,)


def _values(tensor: Tensor, known: Mapping[int, Values]) -> Values | None:
    if tensor.index in known:
        return known[tensor.index]
    complete = tensor.data is not None and tensor.data.size == tensor.size_bytes
    if not (tensor.is_constant and complete and _is_small(tensor)):
        return None
    found = tensor.values().astype(np.int64)
    return found if _in_range(found) else None


def _option(operator: Operator, name: str) -> int:
    return int(getattr(operator.options, name, 0) or 0)


def _pairwise(
    compute: Callable[[Values, Values], Values],
) -> Callable[[Operator, Sequence[Values]], Values]:
    """Two inputs, the smaller one stretched; within 32 bits nothing overflows in 64."""

    def found(_: Operator, read: Sequence[Values]) -> Values:
        one, other = read
        return compute(one, other)

    return found


def _floor_division(one: Values, other: Values) -> Values:
    if not np.all(other):
        raise ZeroDivisionError
    return one // other


def _floor_modulo(one: Values, other: Values) -> Values:
    if not np.all(other):
        raise ZeroDivisionError
    return one % other


def _reduction(
    reduce: Callable[..., Any],
) -> Callable[[Operator, Sequence[Values]], Values]:
    """Along the axes of the second input; in Python's integers, which do not overflow."""

    def found(operator: Operator, read: Sequence[Values]) -> Values | None:
        x, axes = read
        along = tuple(int(axis) for axis in axes.reshape(-1))
        keeps = bool(_option(operator, "keepDims"))
        result = np.asarray(reduce(x.astype(object), axis=along, keepdims=keeps))
        return result.astype(np.int64) if _in_range(result) else None

    return found  # type: ignore[return-value]


def _cast(_: Operator, read: Sequence[Values]) -> Values:
    (x,) = read
    return x


def _pack(operator: Operator, read: Sequence[Values]) -> Values:
    return np.stack(read, axis=_option(operator, "axis"))


def _concatenation(operator: Operator, read: Sequence[Values]) -> Values:
    return np.concatenate(read, axis=_option(operator, "axis"))


def _gather(operator: Operator, read: Sequence[Values]) -> Values | None:
    x, indices = read
    if _option(operator, "batchDims") or np.any(indices < 0):
        return None
    return np.take(x, indices, axis=_option(operator, "axis"))


def _reshape(operator: Operator, read: Sequence[Values]) -> Values | None:
    if len(read) != 2:
        return None
    x, target = read
    return x.reshape(tuple(int(n) for n in target.reshape(-1)))


def _expand_dims(_: Operator, read: Sequence[Values]) -> Values:
    x, axis = read
    return np.expand_dims(x, int(axis.reshape(-1)[0]))


def _squeeze(operator: Operator, read: Sequence[Values]) -> Values:
    (x,) = read
    named = getattr(operator.options, "squeezeDims", None)
    axes = () if named is None else tuple(int(axis) for axis in named)
    return np.squeeze(x, axis=axes) if axes else np.squeeze(x)


def _slice(_: Operator, read: Sequence[Values]) -> Values | None:
    x, begin, size = (values.reshape(-1) if place else values for place, values in enumerate(read))
    if not len(begin) == len(size) == x.ndim:
        return None
    places = []
    for first, count, whole in zip(begin, size, x.shape, strict=True):
        end = whole if count == -1 else first + count
        if not 0 <= first <= end <= whole:
            return None
        places.append(slice(int(first), int(end)))
    return x[tuple(places)]


def _strided_slice(operator: Operator, read: Sequence[Values]) -> Values | None:
    x, begin, end, strides = read
    if not len(begin) == len(end) == len(strides) <= x.ndim or not np.all(strides):
        return None
    if any(_option(operator, name) for name in ("ellipsisMask", "newAxisMask", "offset")):
        return None
    places: list[int | slice] = []
    for axis, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):

        def masked(name: str, axis: int = axis) -> bool:
            return bool(_option(operator, name) >> axis & 1)

        if masked("shrinkAxisMask"):
            places.append(int(first))  # one that is not there raises IndexError
        else:
            since = None if masked("beginMask") else int(first)
            until = None if masked("endMask") else int(last)
            places.append(slice(since, until, int(step)))
    return np.asarray(x[tuple(places)])


_OF_SHAPES: Mapping[str, Callable[[tuple[int, ...]], Any]] = {"SHAPE": list, "RANK": len}
"""What is computed from the shape of the input, whatever its values are."""

_OF_VALUES: Mapping[str, Callable[[Operator, Sequence[Values]], Values | None]] = {
    "ADD": _pairwise(np.add),
    "SUB": _pairwise(np.subtract),
    "MUL": _pairwise(np.multiply),
    "FLOOR_DIV": _pairwise(_floor_division),
    "FLOOR_MOD": _pairwise(_floor_modulo),
    "MAXIMUM": _pairwise(np.maximum),
    "MINIMUM": _pairwise(np.minimum),
    "REDUCE_PROD": _reduction(np.prod),
    "REDUCE_MAX": _reduction(np.max),
    "REDUCE_MIN": _reduction(np.min),
    "SUM": _reduction(np.sum),
    "CAST": _cast,
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _expand_dims,
    "GATHER": _gather,
    "PACK": _pack,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
}

_KINDS = frozenset({*_OF_SHAPES, *_OF_VALUES, "UNPACK"})
