"""Packing measured segments, against a plain recursion."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner.problem.bounds import pack, smallest_container

Measured = list[tuple[int, int, int]]


@st.composite
def measured_segments(draw: st.DrawFn) -> tuple[int, Measured]:
    m = draw(st.integers(2, 7))
    ranges = [(a, b) for a in range(m) for b in range(a + 1, m)]
    chosen = draw(st.lists(st.sampled_from(ranges), unique=True, min_size=1))
    return m, [(a, b, draw(st.integers(0, 9))) for a, b in chosen]


def most_inside(parts: Measured, first: int, end: int) -> int:
    """The largest total of disjoint parts within [first, end)."""
    return max(
        (w + most_inside(parts, b, end) for a, b, w in parts if a >= first and b <= end), default=0
    )


def columns(parts: Measured) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, end, weight = (np.array(column) for column in zip(*parts, strict=True))
    return first, end, weight.astype(np.float64)


@settings(max_examples=200, deadline=None)
@given(measured_segments())
def test_packing_finds_the_largest_total(case: tuple[int, Measured]) -> None:
    m, parts = case
    packing = pack(m, *columns(parts))
    for a in range(m):
        for b in range(a + 1, m):
            assert packing.inside.at(np.array([a]), np.array([b])) == most_inside(parts, a, b)
    for i, (a, b, _) in enumerate(parts):
        assert packing.from_parts[i] == most_inside(parts[:i] + parts[i + 1 :], a, b)


@settings(max_examples=100, deadline=None)
@given(measured_segments())
def test_smallest_container(case: tuple[int, Measured]) -> None:
    m, parts = case
    table = smallest_container(m, *columns(parts))
    for a in range(m):
        for b in range(a + 1, m):
            around = [w for x, y, w in parts if x <= a and y >= b]
            assert table.at(np.array([a]), np.array([b])) == min(around, default=np.inf)
