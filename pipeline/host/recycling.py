"""Memory for copies of large tensors, used again when nobody refers to it any more.

Fresh memory of 100 KiB and more costs more than copying into it: the allocator gives it back to
the kernel when it is freed, and the kernel clears every page of it when it is touched again.
"""

from __future__ import annotations

import sys
from collections import deque

import numpy as np

from devices.device import Tensor, TensorSpec

SMALLEST_BYTES = 64 << 10
"""Smaller tensors the allocator keeps for itself."""

KEPT = 8
"""Copies of a tensor that are remembered; that many stay in memory until the pipeline is gone."""


def _unused() -> int:
    """What ``sys.getrefcount`` says of an array that only one variable refers to."""
    array = np.empty(0)
    return sys.getrefcount(array)


_UNUSED = _unused()


class Copies:
    """Makes copies of one tensor, for any number of threads."""

    def __init__(self, spec: TensorSpec) -> None:
        self._shape = spec.shape
        self._dtype = np.dtype(spec.dtype)
        self._large = spec.size_bytes >= SMALLEST_BYTES
        self._made: deque[Tensor] = deque(maxlen=KEPT)

    def of(self, source: Tensor) -> Tensor:
        """A dense copy of ``source`` that is the caller's, views of it included."""
        if not self._large:
            return source.copy()
        array = self._free()
        if array is None:
            array = np.empty(self._shape, self._dtype)
        self._made.append(array)  # who came first is forgotten: it may be kept for ever
        np.copyto(array, source)
        return array

    def forget(self) -> None:
        """Keep no memory."""
        self._made.clear()

    def _free(self) -> Tensor | None:
        """An array nobody else refers to, nor can find any more."""
        for _ in range(len(self._made)):
            try:
                array = self._made.popleft()
            except IndexError:
                break
            if sys.getrefcount(array) == _UNUSED and self._unchanged(array):
                return array
            self._made.append(array)
        return None

    def _unchanged(self, array: Tensor) -> bool:
        """Whether its user has left it as it was made."""
        flags = array.flags
        return (
            array.shape == self._shape
            and array.dtype == self._dtype
            and flags.c_contiguous
            and flags.writeable
        )
