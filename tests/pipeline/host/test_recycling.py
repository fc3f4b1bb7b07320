"""Memory of large results is used again, but never while anybody can see it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import TensorSpec
from devices.device import Tensor
from pipeline.host.recycling import KEPT, SMALLEST_BYTES, Copies

LARGE = TensorSpec("x", "int16", (2, SMALLEST_BYTES // 4))


def numbered(value: int) -> Tensor:
    return np.full(LARGE.shape, value, LARGE.dtype)


@given(st.lists(st.sampled_from(["keep", "view", "buffer", "drop"]), max_size=40))
def test_what_is_kept_keeps_its_values(steps: list[str]) -> None:
    copies = Copies(LARGE)
    kept: list[tuple[int, object]] = []
    for value, step in enumerate(steps):
        copy = copies.of(numbered(value))
        assert (copy == value).all()
        if step == "keep":
            kept.append((value, copy))
        elif step == "view":
            kept.append((value, copy[1, 5:9]))
        elif step == "buffer":
            kept.append((value, memoryview(copy)))
        del copy
        for expected, seen in kept:
            assert (np.asarray(seen) == expected).all()


def test_what_is_dropped_is_used_again() -> None:
    copies = Copies(LARGE)
    places = {copies.of(numbered(value)).ctypes.data for value in range(20)}
    assert len(places) == 1


@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")  # NumPy 2.5
@pytest.mark.parametrize(
    "change",
    [
        lambda array: setattr(array, "shape", (-1,)),
        lambda array: setattr(array, "dtype", np.dtype("uint8")),
        lambda array: setattr(array.flags, "writeable", False),
    ],
)
def test_an_array_its_user_changed_is_not_used_again(change: Callable[[Tensor], None]) -> None:
    copies = Copies(LARGE)
    change(copies.of(numbered(1)))
    again = copies.of(numbered(2))
    assert again.shape == LARGE.shape
    assert again.dtype == LARGE.dtype
    assert again.flags.writeable


def test_keeping_the_first_ones_for_ever_does_not_end_it() -> None:
    copies = Copies(LARGE)
    first = [copies.of(numbered(value)) for value in range(2 * KEPT)]
    places = {copies.of(numbered(value)).ctypes.data for value in range(20)}
    assert len(places) == 1
    assert places.isdisjoint(array.ctypes.data for array in first)


def test_layout_of_the_source_does_not_matter() -> None:
    source = np.asfortranarray(
        np.arange(LARGE.size_bytes // 2).astype("int16").reshape(LARGE.shape)
    )
    for _ in range(2):
        copy = Copies(LARGE).of(source)
        assert copy.flags.c_contiguous
        np.testing.assert_array_equal(copy, source)
