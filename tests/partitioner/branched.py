"""Made-up graphs with branches, and every order their operators can run in."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from partitioner.graphs.precedence import Precedence
from partitioner.problem.ideals import Ideals

Before = tuple[frozenset[int], ...]
"""For each operator those that must run before it."""


def precedence(before: Before) -> Precedence:
    n = len(before)
    behind = tuple(frozenset(u for u in range(n) if i in before[u]) for i in range(n))
    return Precedence(tuple(1 << i for i in range(n)), before, behind)


def linear_extensions(before: Before, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Every order in which the operators can run."""
    if len(done) == len(before):
        yield done
    for u in range(len(before)):
        if u not in done and before[u] <= set(done):
            yield from linear_extensions(before, (*done, u))


def all_ideals(before: Before) -> Ideals:
    sets = precedence(before).ideals(10_000)
    assert sets is not None
    return Ideals(sets, len(before), complete=True)


@st.composite
def dags(draw: st.DrawFn, most: int = 7) -> Before:
    """Sparse, so that branches abound."""
    n = draw(st.integers(1, most))
    return tuple(
        frozenset(draw(st.lists(st.integers(0, i - 1), max_size=2)) if i else ()) for i in range(n)
    )
