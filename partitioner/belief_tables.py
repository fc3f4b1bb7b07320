"""What is known of all segments as ``m x m`` tables, for searches that think in tables."""

from __future__ import annotations

from dataclasses import dataclass

from partitioner.exact import Matrix
from partitioner.knowledge import Knowledge
from partitioner.problem import Guard


@dataclass(frozen=True, eq=False)
class BeliefTables:
    """``lower <= expected <= upper`` for the segment between each pair of cut positions, ns.

    ``measured`` holds latencies where there are any; ``inf`` stands elsewhere, for segments that
    do not compile, and on and below the diagonal of all tables.
    """

    measured: Matrix
    lower: Matrix
    expected: Matrix
    upper: Matrix
    guard: Guard


def tables_of(known: Knowledge) -> BeliefTables:
    """All beliefs that follow from what is known."""
    beliefs = known.beliefs()
    return BeliefTables(
        known.measured(), beliefs.lower, beliefs.expected, beliefs.upper, beliefs.guard
    )
