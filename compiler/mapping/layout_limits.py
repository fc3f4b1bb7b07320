"""The limits of operators that only move values, and of those that resize maps."""

from __future__ import annotations

import numpy as np

from compiler.mapping.limits import RUNTIME_13, Limit, Source
from compiler.mapping.view import View, batch_dimensions, dimensions, from_the_front

RESIZE_MAX_RATIO = 4
"""An assumption between what was seen: factors 1 and 2 are mapped in Google's packages, 15.5 and 33
stay on the CPU (33x33 to 513x513 and 1x1 to 33x33 of DeepLab).  The page only says that it depends
on the sizes."""

RESIZE_SEEN_MAPPED = 2
RESIZE_SEEN_ON_CPU = 15


def _concatenated_constants(view: View) -> str | None:
    constants = [tensor for tensor in view.inputs if tensor is not None and tensor.is_constant]
    if not constants:
        return None
    if len(view.inputs) != 2 or len(constants) != 1:
        return f"{len(constants)} of {len(view.inputs)} inputs are constant"
    zero = constants[0].zero_points[0] if constants[0].zero_points else 0
    if np.all(constants[0].values() == zero):
        return None
    return f"the constant input {constants[0].name!r} is not all zero"


zero_padding_only = Limit(
    "a constant input only if it is all zero and one of two", _concatenated_constants
)


def _packed_batch(view: View) -> str | None:
    shape = view.outputs[0].shape
    (axis,) = from_the_front((view.option("axis"),), len(shape))
    return f"packs along batch axis {axis}" if axis < batch_dimensions(shape) else None


no_batch_packing = Limit("no packing along the batch", _packed_batch)


def _paddings(view: View) -> list[int] | None:
    values, rank = view.integers(1), len(view.shape())
    if values is None or len(values) != 2 * rank:
        return None
    return [axis for axis in range(rank) if values[2 * axis] or values[2 * axis + 1]]


def _padded_batch(view: View) -> str | None:
    padded = _paddings(view)
    if padded is None:
        return "the paddings are computed at run time"
    outside = [axis for axis in padded if axis < batch_dimensions(view.shape())]
    return f"pads batch axis {outside[0]}" if outside else None


no_batch_padding = Limit("no padding of the batch", _padded_batch, parameters=(1,))


def _padded_channels(view: View) -> str | None:
    padded = _paddings(view) or []
    pads = len(view.shape()) - 1 in padded
    return "pads the channels" if pads and view.runtime < RUNTIME_13 else None


z_padding = Limit("padding of the channels from runtime 13 on", _padded_channels)


def _resized_dimensions(view: View) -> str | None:
    before, after = view.shape(), view.outputs[0].shape
    if len(before) == len(after) == 4:
        return None
    return f"{dimensions(before)} to {dimensions(after)}"


three_dimensional_resize = Limit("three-dimensional input and output", _resized_dimensions)


def _ratio(view: View) -> float:
    before, after = view.shape()[1:3], view.outputs[0].shape[1:3]
    return max((b / a for a, b in zip(before, after, strict=False) if a), default=1.0)


def _enlarged(view: View) -> str | None:
    ratio = _ratio(view)
    if ratio <= RESIZE_MAX_RATIO:
        return None
    before, after = view.shape()[1:3], view.outputs[0].shape[1:3]
    return f"{dimensions(before)} to {dimensions(after)} is {ratio:.4g} times"


def _ratio_not_seen(view: View) -> str:
    ratio = _ratio(view)
    if RESIZE_SEEN_MAPPED < ratio <= RESIZE_MAX_RATIO:
        return (
            f"enlarging {ratio:.4g} times is taken to be mapped; Google's packages show it for "
            f"{RESIZE_SEEN_MAPPED} times, and not any more for {RESIZE_SEEN_ON_CPU}"
        )
    return ""


resize_ratio = Limit(
    f"at most {RESIZE_MAX_RATIO} times as high and wide",
    _enlarged,
    Source.ASSUMED,
    hint="several smaller steps are mapped, or leave the enlarging to the program",
    assumed=_ratio_not_seen,
)


def _split_batch(view: View) -> str | None:
    axes, shape = view.axes(0, of=1), view.shape(1)
    if axes is None or len(axes) != 1:
        return "the axis is computed at run time"
    return f"splits batch axis {axes[0]}" if axes[0] < batch_dimensions(shape) else None


no_batch_split = Limit("no splitting of the batch", _split_batch, parameters=(0,))


def _squeezed(view: View) -> str | None:
    """Up to runtime 12 only leading ones may go, so that no data moves."""
    before, after = view.shape(), view.outputs[0].shape
    if view.runtime >= RUNTIME_13:
        return None
    leading = before[: len(before) - len(after)]
    if len(after) <= len(before) and before[len(leading) :] == after and set(leading) <= {1}:
        return None
    return f"{dimensions(before)} to {dimensions(after)}"


squeeze_keeps_layout = Limit("before runtime 13 only leading ones may go", _squeezed)


def _strides(view: View) -> str | None:
    strides = view.integers(3)
    if strides is None:
        return "the strides are computed at run time"
    return None if all(stride == 1 for stride in strides) else f"strides {list(strides)}"


unit_strides = Limit("strides of 1", _strides)


def _masks(view: View) -> str | None:
    masks = [n for n in ("ellipsisMask", "newAxisMask") if view.option(n)]
    return f"{masks[0]} is set" if masks else None


no_masks = Limit("neither ellipsis nor new axis", _masks)


def _transposed_batch(view: View) -> str | None:
    order = view.integers(1)
    if order is None:
        return "the order of the axes is computed at run time"
    order = from_the_front(order, len(order))
    outside = batch_dimensions(view.shape())
    moved = [axis for axis in range(min(outside, len(order))) if order[axis] != axis]
    return f"moves batch axis {moved[0]}" if moved else None


inner_transpose = Limit(
    "only the three innermost axes change places", _transposed_batch, parameters=(1,)
)


def _transposes_an_input(view: View) -> str | None:
    tensor = view.inputs[0]
    if tensor is None or tensor.is_constant or tensor.index in view.made_by:
        return None
    return f"it reads the model's input {tensor.name!r}, where Google's compiler was seen to stop"


transpose_not_first = Limit(
    "not as the very first operator",
    _transposes_an_input,
    Source.REPORTED,
    hint="export the model in NHWC layout; Google's compiler may map nothing behind it",
    in_front=True,
)


def _tiled(view: View) -> str | None:
    times, shape = view.integers(1), view.shape()
    if times is None:
        return "the numbers of copies are computed at run time"
    outside = [axis for axis in range(batch_dimensions(shape)) if times[axis] != 1]
    if outside:
        return f"copies along batch axis {outside[0]}"
    copied = [n for n, t in zip(shape[:-1], times[:-1], strict=False) if t != 1]
    if any(n != 1 for n in copied) or times[-1:] not in ((), (1,)):
        return f"copies {dimensions(shape)} {dimensions(times)} times"
    return None


tile_of_one = Limit(
    "copies of a 1x1 map to a grid only, for only that was seen", _tiled, Source.PACKAGE
)
