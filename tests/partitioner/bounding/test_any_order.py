"""The bound over all orders, on chips that take exactly what the basis says.

There every deviation vanishes, so that only the relaxation is between the bound and the optimum.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pytest

from compiler import graph_from_bytes
from partitioner.bounding import Known, bound_in_any_order
from partitioner.graphs import precedence_of, problem_of
from partitioner.problem import Array, Basis, Problem, Range
from partitioner.solving import least_bottleneck, offers_of
from zoo.random_graph import random_graph

_SURE = 1e-6


def rates_of(names: tuple[str, ...], random: np.random.Generator) -> Array:
    """Nanoseconds per unit of each feature; on the CPU all operators take longer."""
    typical = {
        "request": 1e5,
        "bytes in": 30.0,
        "bytes out": 100.0,
        "off-chip bytes": 30.0,
        "operators": 1e4,
        "cpu operators": 1e6,
        "cpu macs": 1e3,
        "cpu bytes": 1e3,
    }
    usual = [typical.get(name, 20.0) for name in names]
    return np.asarray(usual * random.lognormal(0.0, 1.0, len(names)))


def problems(seed: int, random: np.random.Generator) -> tuple[Problem, Problem]:
    """A random graph whose ideals are taken for too many, and the same with all of them."""
    operators = int(random.integers(5, 16))
    graph = graph_from_bytes(random_graph(seed, operators), f"random {seed}")
    k = int(random.integers(2, min(5, operators) + 1))
    most = len(precedence_of(graph).units) + 1 + seed % 4
    return (
        problem_of(graph, k, order="any", most_ideals=most),
        problem_of(graph, k, order="any", most_ideals=100_000),
    )


def bound_and_optimum(seed: int, kinds: int = 1) -> tuple[float, float] | None:
    """``None`` where all ideals were looked at."""
    random = np.random.default_rng(seed)
    problem, every = problems(seed, random)
    if problem.unordered is None or problem.features is None or every.features is None:
        return None
    known, costs = [], []
    segments, of_all = problem.places.segments(), every.places.segments()
    for _ in range(kinds):
        names = problem.features.names
        rates = rates_of(names, random)
        basis = Basis(names, tuple(rates), tuple(rates * _SURE), _SURE, _SURE)
        chosen = random.permutation(len(segments))[: int(random.integers(1, 12))]
        first, end = segments.first[chosen], segments.end[chosen]
        times = problem.features.design(first, end) @ rates
        measured: dict[Range, int | None] = {
            problem.places.operators(i, j): int(time)
            for i, j, time in zip(first, end, times, strict=True)
        }
        known.append(Known.of(problem.places, problem.features, basis, measured))
        costs.append(every.features.design(of_all.first, of_all.end) @ rates)
    k = problem.num_segments
    optimum = least_bottleneck(offers_of(of_all, costs, [k] * kinds), k)
    ceiling = optimum * 10.0
    return bound_in_any_order(problem, known, ceiling, int(ceiling)), optimum


@pytest.mark.parametrize("kinds", [1, 2])
def test_no_cut_in_any_order_is_below_the_bound(kinds: int) -> None:
    found = [bound_and_optimum(seed, kinds) for seed in range(60)]
    pairs = [pair for pair in found if pair is not None]
    assert len(pairs) > 40
    assert all(bound <= optimum * (1.0 + 1e-5) for bound, optimum in pairs)
    assert median(bound / optimum for bound, optimum in pairs) > 0.9


def test_nor_where_operators_in_the_middle_stay_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that where others run depends on the segment."""

    class Torn:
        """Judges as if every fifth operator was not supported."""

        def __init__(self, graph: Any, index: int, *_: object) -> None:
            self.is_mapped = (len(graph) + index) % 5 != 0

    monkeypatch.setattr(sys.modules["partitioner.graphs.operator_facts"], "judge", Torn)
    found = [bound_and_optimum(seed) for seed in range(100, 160)]
    pairs = [pair for pair in found if pair is not None]
    assert len(pairs) > 40
    assert all(bound <= optimum * (1.0 + 1e-5) for bound, optimum in pairs)
    assert median(bound / optimum for bound, optimum in pairs) > 0.8


def test_nothing_is_claimed_of_orders_about_which_nothing_is_known() -> None:
    problem, every = problems(3, np.random.default_rng(3))
    assert problem.unordered is not None
    known = [Known.of(problem.places, problem.features, None, {(0, problem.num_operators): 5})]
    assert bound_in_any_order(problem, known, 100.0, 90) == 0
    assert bound_in_any_order(replace(problem, unordered=None), known, 100.0, 90) == 0
    assert bound_in_any_order(every, known, 100.0, 90) == 90
