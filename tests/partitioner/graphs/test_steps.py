"""What segments hold and move in whatever order, against all segments of small graphs."""

from __future__ import annotations

import sys
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from compiler import graph_from_bytes
from partitioner.graphs import problem_of
from partitioner.graphs.any_order import unordered
from partitioner.graphs.crossings import Wanted, fewest_bytes
from partitioner.problem import Ideals, Mask, Unordered
from zoo.random_graph import random_graph


def stages_of(steps: Unordered, ideal: Mask) -> list[int]:
    """All that an ideal is in."""
    low = (steps.must & ~ideal).any(axis=1)
    high = (ideal & ~steps.may).any(axis=1)
    return [int(stage) for stage in np.flatnonzero(~low & ~high)]


@pytest.mark.parametrize("torn", [False, True])
def test_every_segment_is_within_what_its_steps_say(
    monkeypatch: pytest.MonkeyPatch, torn: bool
) -> None:
    if torn:

        class Torn:
            def __init__(self, graph: Any, index: int, *_: object) -> None:
                self.is_mapped = (len(graph) + index) % 4 != 0

        monkeypatch.setattr(sys.modules["partitioner.graphs.operator_facts"], "judge", Torn)
    looked_at = 0
    for seed in range(25):
        graph = graph_from_bytes(random_graph(seed, 5 + seed % 8), f"random {seed}")
        problem = problem_of(graph, 2, order="any", most_ideals=100_000)
        if not isinstance(problem.places, Ideals):
            continue
        assert problem.features is not None
        steps = unordered(graph)
        number = {pair: at for at, pair in enumerate(zip(steps.first, steps.end, strict=True))}
        ideals, segments = problem.places.contents, problem.places.segments()
        design = problem.features.design(segments.first, segments.end)
        for row, first, end in zip(design, segments.first, segments.end, strict=True):
            inside = ideals[end] & ~ideals[first]
            pairs = [
                (s, t)
                for s in stages_of(steps, ideals[first])
                for t in stages_of(steps, ideals[end])
            ]
            assert pairs
            for pair in pairs:
                step = number[pair]
                assert not (steps.sure[step] & ~inside).any()
                assert (steps.least[step] <= row * (1.0 + 1e-6)).all()
                looked_at += 1
    assert looked_at > 1_000


def test_the_fewest_bytes_that_cross_are_those_of_some_ideal() -> None:
    for seed in range(60):
        random = np.random.default_rng(seed)
        count = int(random.integers(3, 9))
        needs = [sorted(set(random.integers(0, i, 2).tolist())) if i else [] for i in range(count)]
        low = int(random.integers(0, 2))
        high = int(random.integers(low + 1, count + 1))
        has_run, open_to = frozenset(range(low)), frozenset(range(low, high))
        tensors = [
            Wanted(
                maker if maker >= 0 else None,
                tuple(sorted(set(random.integers(max(0, maker), count, 2).tolist()))),
                int(random.integers(1, 100)),
            )
            for maker in range(-1, count)
        ]
        least = None
        for size in range(len(open_to) + 1):
            for chosen in combinations(sorted(open_to), size):
                run = has_run | set(chosen)
                if any(needed not in run for operator in chosen for needed in needs[operator]):
                    continue
                crossing = sum(
                    tensor.size_bytes
                    for tensor in tensors
                    if (tensor.maker is None or tensor.maker in run)
                    and not run.issuperset(tensor.readers)
                )
                least = crossing if least is None else min(least, crossing)
        assert fewest_bytes(has_run, open_to, needs, tensors) == least
