"""The shapes of what operators give that only move values.

They are those LiteRT works out when it prepares a model (its ``kernels``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from compiler.reading.operands import ContradictionError, Inputs, Rule, Shape

_REST = -1  # of a SLICE's size, and in a RESHAPE's target: whatever is left


def _concatenation(inputs: Inputs) -> Sequence[Shape]:
    if inputs.option("fusedActivationFunction"):
        raise ContradictionError("it has a fused activation, which no kernel computes")
    first = inputs.shape(0)
    axis = inputs.axis(inputs.option("axis"), len(first))
    for place in range(len(inputs.tensors)):
        shape = inputs.shape(place)
        if len(shape) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(shape, first, strict=True)) if i != axis
        ):
            raise ContradictionError(
                f"{inputs.named(0)} and {inputs.named(place)} cannot be joined along axis {axis}"
            )
    total = sum(inputs.shape(place)[axis] for place in range(len(inputs.tensors)))
    return ((*first[:axis], total, *first[axis + 1 :]),)


def _reshape(inputs: Inputs) -> Sequence[Shape] | None:
    target: tuple[int, ...] | None
    if len(inputs.tensors) > 1:
        target = inputs.constant(1)
        if target is None:
            return None
    else:
        found = getattr(inputs.operator.options, "newShape", None)
        target = () if found is None else tuple(int(n) for n in found)
    if target == (0,) and inputs.tensor(0).elements == 1:
        target = ()  # how old converters write a scalar
    elements, known = inputs.tensor(0).elements, prod(n for n in target if n != _REST)
    unknown = target.count(_REST)
    fits = known == elements if not unknown else bool(known) and elements % known == 0
    if unknown > 1 or min(target, default=0) < _REST or not fits:
        raise ContradictionError(
            f"{inputs.named(0)}, {elements} elements, which cannot become {list(target)}"
        )
    return (tuple(elements // known if n == _REST else n for n in target),)


def _squeeze(inputs: Inputs) -> Sequence[Shape]:
    x = inputs.shape(0)
    found = getattr(inputs.operator.options, "squeezeDims", None)
    axes = {inputs.axis(int(n), len(x)) for n in (() if found is None else found)}
    axes = axes or {i for i, n in enumerate(x) if n == 1}
    if any(x[i] != 1 for i in axes):
        raise ContradictionError(f"{inputs.named(0)}, of which axes {sorted(axes)} are not all 1")
    return (tuple(n for i, n in enumerate(x) if i not in axes),)


def _expand_dims(inputs: Inputs) -> Sequence[Shape] | None:
    x, axis = inputs.shape(0), inputs.constant(1)
    if axis is None or len(axis) != 1:
        return None
    at = inputs.axis(axis[0], len(x) + 1)
    return ((*x[:at], 1, *x[at:]),)


def _pack(inputs: Inputs) -> Sequence[Shape]:
    first = inputs.shape(0)
    for place in range(len(inputs.tensors)):
        if inputs.shape(place) != first:
            raise ContradictionError(f"{inputs.named(0)} and {inputs.named(place)}")
    count, named = len(inputs.tensors), inputs.option("valuesCount")
    if named != count:
        raise ContradictionError(f"option valuesCount is {named}, for {count} inputs")
    at = inputs.axis(inputs.option("axis"), len(first) + 1)
    return ((*first[:at], count, *first[at:]),)


def _unpack(inputs: Inputs) -> Sequence[Shape]:
    x, count = inputs.shape(0), inputs.option("num")
    at = inputs.axis(inputs.option("axis"), len(x))
    if not x or x[at] != count:
        raise ContradictionError(f"{inputs.named(0)}, which is to give {count} results")
    return (x[:at] + x[at + 1 :],) * count


def _to_blocks(inputs: Inputs) -> Sequence[Shape]:
    n, y, x, z = inputs.ranked(0, 4)
    block = inputs.positive("blockSize")
    if y % block or x % block:
        raise ContradictionError(f"{inputs.named(0)}, in blocks of {block}")
    return ((n, y // block, x // block, z * block * block),)


def _from_blocks(inputs: Inputs) -> Sequence[Shape]:
    n, y, x, z = inputs.ranked(0, 4)
    block = inputs.positive("blockSize")
    if z % (block * block):
        raise ContradictionError(f"{inputs.named(0)}, into blocks of {block}")
    return ((n, y * block, x * block, z // (block * block)),)


def _pad(inputs: Inputs) -> Sequence[Shape] | None:
    x, padding = inputs.shape(0), inputs.constant(1)
    if padding is None:
        return None
    if inputs.shape(1) != (len(x), 2) or min(padding, default=0) < 0:
        raise ContradictionError(f"{inputs.named(0)}, padded by {list(padding)}")
    return (tuple(n + padding[2 * i] + padding[2 * i + 1] for i, n in enumerate(x)),)


def _transpose(inputs: Inputs) -> Sequence[Shape] | None:
    x, order = inputs.shape(0), inputs.constant(1)
    if order is None:
        return None
    axes = tuple(inputs.axis(axis, len(x)) for axis in order)
    if sorted(axes) != list(range(len(x))):
        raise ContradictionError(f"{inputs.named(0)}, its axes ordered {list(order)}")
    return (tuple(x[axis] for axis in axes),)


def _tile(inputs: Inputs) -> Sequence[Shape] | None:
    x, times = inputs.shape(0), inputs.constant(1)
    if times is None:
        return None
    if len(times) != len(x) or min(times, default=0) < 0:
        raise ContradictionError(f"{inputs.named(0)}, copied {list(times)} times")
    return (tuple(n * t for n, t in zip(x, times, strict=True)),)


def _split(inputs: Inputs) -> Sequence[Shape] | None:
    axis, x, count = inputs.constant(0), inputs.shape(1), inputs.positive("numSplits")
    if not axis:
        return None
    at = inputs.axis(axis[0], len(x))
    if x[at] % count:
        raise ContradictionError(f"{inputs.named(1)}, split into {count} along axis {at}")
    return ((*x[:at], x[at] // count, *x[at + 1 :]),) * count


def _split_sizes(inputs: Inputs) -> Sequence[Shape] | None:
    x, sizes, axis = inputs.shape(0), inputs.constant(1), inputs.constant(2)
    if sizes is None or axis is None or len(axis) != 1:
        return None
    at = inputs.axis(axis[0], len(x))
    rest = x[at] - sum(n for n in sizes if n != _REST)
    if sizes.count(_REST) > 1 or rest < 0 or (rest and _REST not in sizes):
        raise ContradictionError(f"{inputs.named(0)}, split into {list(sizes)} along axis {at}")
    return tuple((*x[:at], rest if n == _REST else n, *x[at + 1 :]) for n in sizes)


def _slice(inputs: Inputs) -> Sequence[Shape] | None:
    for place in (1, 2):
        inputs.ranked(place, 1)
    x, begin, size = inputs.shape(0), inputs.constant(1), inputs.constant(2)
    if begin is None or size is None:
        return None
    if not len(x) == len(begin) == len(size):
        raise ContradictionError(f"{inputs.named(0)}, from {list(begin)} on {list(size)}")
    sizes = tuple(n - b if s == _REST else s for n, b, s in zip(x, begin, size, strict=True))
    for n, first, count in zip(x, begin, sizes, strict=True):
        if first < 0 or count < 0 or first + count > n:
            raise ContradictionError(f"{inputs.named(0)}, from {list(begin)} on {list(size)}")
    return (sizes,)


def _strided_slice(inputs: Inputs) -> Sequence[Shape] | None:
    for place in (1, 2, 3):
        inputs.ranked(place, 1)
    x, *found = inputs.shape(0), *(inputs.constant(place) for place in (1, 2, 3))
    begin, end, strides = found
    masks = ("ellipsisMask", "newAxisMask", "offset")
    if begin is None or end is None or strides is None or any(map(inputs.option, masks)):
        return None
    if not len(begin) == len(end) == len(strides) <= len(x) or 0 in strides:
        raise ContradictionError(f"{inputs.named(0)}, from {begin} to {end} in steps of {strides}")
    shape = []
    for axis, n in enumerate(x):
        if axis >= len(begin):
            shape.append(n)
        elif inputs.option("shrinkAxisMask") >> axis & 1:
            if not -n <= begin[axis] < n:
                raise ContradictionError(f"{inputs.named(0)}, of which {begin} is taken")
        else:
            first = None if inputs.option("beginMask") >> axis & 1 else begin[axis]
            last = None if inputs.option("endMask") >> axis & 1 else end[axis]
            shape.append(len(range(*slice(first, last, strides[axis]).indices(n))))
    return (tuple(shape),)


MOVING: Mapping[str, Rule] = {
    "CONCATENATION": _concatenation,
    "DEPTH_TO_SPACE": _from_blocks,
    "EXPAND_DIMS": _expand_dims,
    "MIRROR_PAD": _pad,
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "SPACE_TO_DEPTH": _to_blocks,
    "SPLIT": _split,
    "SPLIT_V": _split_sizes,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
