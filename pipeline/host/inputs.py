"""What is pushed: checked against what the pipeline needs, before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from devices.device import Tensor, TensorSpec
from devices.errors import TensorError


def checked(tensors: Mapping[str, ArrayLike], expected: Sequence[TensorSpec]) -> dict[str, Tensor]:
    """The arrays in the expected shapes, not copied.  Any order; a leading 1 may be left out.

    Raises :class:`~devices.errors.TensorError` naming the tensor, what was found and what was
    expected.
    """
    arrays: dict[str, Tensor] = {}
    if not isinstance(tensors, Mapping):
        raise TensorError(
            f"The input tensors are {str(tensors)[:40]!r}, but a dict of arrays by name is needed."
        )
    for spec in expected:
        if spec.name not in tensors:
            raise _wrong_names(tensors, expected)
        array = _array(spec.name, tensors[spec.name])
        if array.dtype != _dtype(spec.dtype):
            raise TensorError(
                f"Input tensor {spec.name!r} has dtype {array.dtype}, but {spec.dtype} is "
                "expected; quantise or convert it first."
            )
        if array.shape != spec.shape:
            if spec.shape[:1] != (1,) or array.shape != spec.shape[1:]:
                raise TensorError(
                    f"Input tensor {spec.name!r} has shape {array.shape}, but {spec.shape} is "
                    "expected; resize or reshape it first."
                )
            array = array.reshape(spec.shape)
        arrays[spec.name] = array
    if len(tensors) != len(arrays):
        raise _wrong_names(tensors, expected)
    return arrays


_dtype = cache(np.dtype)


def _array(name: str, value: ArrayLike) -> Tensor:
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise TensorError(f"Input tensor {name!r} is no array: {error}.") from error


def _wrong_names(tensors: Mapping[str, ArrayLike], expected: Sequence[TensorSpec]) -> TensorError:
    unknown = sorted(set(tensors) - {spec.name for spec in expected}, key=str)
    missing = [spec.name for spec in expected if spec.name not in tensors]
    return TensorError(
        f"The input tensors are {sorted(tensors, key=str)}, but the model needs "
        f"{[spec.name for spec in expected]}: "
        + " and ".join(
            [f"{missing} missing"] * bool(missing) + [f"{unknown} unknown"] * bool(unknown)
        )
        + "."
    )
