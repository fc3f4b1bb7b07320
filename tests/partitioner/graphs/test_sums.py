"""Sums that are looked up, against adding up what counts."""

from __future__ import annotations

import numpy as np
import pytest

from partitioner.graphs.crossings import Crossing
from partitioner.graphs.sums import SumsOnLine, TransfersBetweenIdeals


@pytest.mark.parametrize("seed", range(6))
def test_steps_along_a_line(seed: int) -> None:
    """Of many steps, so that most look-ups lie between two rows that are kept."""
    random = np.random.default_rng(seed)
    m, count = 40, (0, 3, 700, 2_000)[seed % 4]
    start, end = random.integers(0, m, count), random.integers(0, m, count)
    sizes = random.integers(-1_000, 1_000, (count, 2)).astype(np.float64)
    first, last = np.triu_indices(m)

    def counted(a: int, b: int) -> np.ndarray:
        return sizes[(start <= a) & (end <= b)].sum(axis=0)

    expected = [counted(a, b) - counted(a, a) for a, b in zip(first, last, strict=True)]
    assert np.array_equal(SumsOnLine(m, start, end, sizes).at(first, last), expected)


@pytest.mark.parametrize("seed", range(4))
def test_operators_blocked_up_to_a_place(seed: int) -> None:
    """What counts in a segment is in it and not blocked where it begins."""
    random = np.random.default_rng(seed)
    n = 300
    places = np.arange(n + 1)
    done = places > np.arange(n)[:, None]
    clear = places >= random.integers(0, np.arange(1, n + 1))[:, None]
    values = random.integers(0, 100, (n, 1)).astype(np.float64)
    sums = SumsOnLine.inside(done, clear, values)
    first, end = np.sort(random.choice(n + 1, (500, 2)), axis=1).T
    for a, b, (found,) in zip(first, end, sums.at(first, end), strict=True):
        assert found == values[a:b][clear[a:b, a]].sum()


@pytest.mark.parametrize("seed", range(4))
def test_crossings(seed: int) -> None:
    random = np.random.default_rng(seed)
    m = 25
    sides = [
        [Crossing(t, int(random.integers(1, 9)), *(random.random((2, m)) < 0.4)) for t in range(60)]
        for _ in range(2)
    ]
    # On a line nothing crosses into a segment without operators.
    behind = np.arange(m)
    first, end = (places.ravel() for places in np.meshgrid(behind, behind, indexing="ij"))
    on_line, between = SumsOnLine.across(m, sides), TransfersBetweenIdeals(m, sides)
    largest = between.largest(first, end)
    for column, crossings in enumerate(sides):
        table = np.zeros((m, m))
        for crossing in crossings:
            table += crossing.size_bytes * np.outer(crossing.starts, crossing.ends)
        assert np.array_equal(between.at(first, end)[:, column], table[first, end])
        less = table[first, end] - table[first, first]
        assert np.array_equal(on_line.at(first, end)[:, column], less)
        for a, b, tensor in zip(first, end, largest[column], strict=True):
            here = [c for c in crossings if c.starts[a] and c.ends[b]]
            most = max((c.size_bytes for c in here), default=0)
            assert tensor == next((c.tensor for c in here if c.size_bytes == most), -1)
