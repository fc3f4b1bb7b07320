"""Segments part by part, against all of them at once."""

from __future__ import annotations

import numpy as np
import pytest

from partitioner.problem import Ideals, Line, Places, segments
from tests.partitioner.branched import all_ideals

LINE = Line((0, 2, 3, 7, 8, 9, 13))
IDEALS = all_ideals((frozenset(), frozenset(), frozenset({0}), frozenset({1}), frozenset({0})))


@pytest.mark.parametrize("places", [LINE, IDEALS], ids=["line", "ideals"])
@pytest.mark.parametrize("size", [1, 5, 1_000])
@pytest.mark.parametrize("seed", range(3))
def test_parts_are_all_segments_in_order(
    places: Line | Ideals, size: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("places", "ideals"):
        monkeypatch.setattr(f"partitioner.problem.{module}.PART", size)
    every = list(zip(places.segments().first, places.segments().end, strict=True))
    assert pairs(places) == every == sorted(set(every))
    last = np.random.default_rng(seed).integers(0, len(places), len(places))
    assert pairs(places, last) == [(a, b) for a, b in every if b <= last[a]]


def pairs(places: Places, last: np.ndarray | None = None) -> list[tuple[int, int]]:
    parts = places.parts(last)
    found = segments.Segments.chosen(parts, lambda part: np.ones(len(part), dtype=np.bool_))
    return list(zip(found.first, found.end, strict=True))


def test_places_within_operators() -> None:
    """What comes before each place, and how much of it lies between two."""
    contents = [[i < position for i in range(13)] for position in LINE.positions]
    assert np.array_equal(LINE.contents, contents)
    ones = LINE.prepared(np.ones(13))
    assert LINE.amount(ones, np.array([0, 2]), np.array([6, 3])).tolist() == [13.0, 4.0]
