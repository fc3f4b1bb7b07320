"""Places as ideals: against every order of the operators, and against a line."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner.problem.features import Features
from partitioner.problem.places import Line
from partitioner.problem.ranges import operators_of, runs_of, set_of
from tests.partitioner.branched import Before, all_ideals, dags, linear_extensions, precedence


@given(st.frozensets(st.integers(0, 200)))
def test_sets_as_runs_and_back(operators: frozenset[int]) -> None:
    runs = runs_of(sum(1 << i for i in operators))
    assert operators_of(runs) == tuple(sorted(operators))
    assert all(a < b for a, b in pairwise(runs))
    assert set_of(runs) == sum(1 << i for i in operators)


@settings(max_examples=60, deadline=None)
@given(dags())
def test_ideals_are_what_orders_pass_through(before: Before) -> None:
    units = precedence(before)
    passed = {prefix for order in linear_extensions(before) for prefix in units.prefixes(order)}
    found = units.ideals(10_000)
    assert found is not None
    assert set(found) == passed
    assert len(found) == len(passed)
    if len(found) > 2:
        assert units.ideals(len(found) - 1) is None
    for order in units.orders([1] * len(before)):
        assert set(units.prefixes(order)) <= passed


def test_a_chain_has_the_places_of_a_line() -> None:
    before = tuple(frozenset({i - 1} if i else ()) for i in range(9))
    ideals = all_ideals(before)
    assert [ideals.operators(0, j) for j in range(1, 10)] == [(0, j) for j in range(1, 10)]
    line = Line(tuple(range(10)))
    counted, expected = (Features.counting(places) for places in (ideals, line))
    first, end = np.triu_indices(10, 1)
    assert np.array_equal(counted.design(first, end), expected.design(first, end))
    assert np.array_equal(ideals.contents, line.contents)
    shares = np.arange(9.0)
    assert np.allclose(
        ideals.amount(ideals.prepared(shares), first, end),
        line.amount(line.prepared(shares), first, end),
    )
    assert np.allclose(
        *(
            common[end] - common[first]
            for common in (
                f.overlap(f.prepared(shares), first[::3], end[::3]) for f in (ideals, line)
            )
        ),
    )
    inside = np.arange(len(first), dtype=np.float64)[::4]
    chosen = first[::4], end[::4]
    packed, rows = ideals.pack(*chosen, inside), line.pack(*chosen, inside)
    assert np.allclose(packed.inside.at(first, end), rows.inside.at(first, end))
    assert np.allclose(packed.from_parts, rows.from_parts)
    assert np.allclose(
        ideals.smallest_container(*chosen, inside).at(first, end),
        line.smallest_container(*chosen, inside).at(first, end),
    )
