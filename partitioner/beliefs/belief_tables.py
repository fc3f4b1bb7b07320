"""What is known of all segments as ``m x m`` tables, for searches that think in tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partitioner.beliefs.knowledge import Knowledge
from partitioner.problem import Guard, Places
from partitioner.solving import Matrix


@dataclass(frozen=True, eq=False)
class BeliefTables:
    """``lower <= expected <= upper`` for the segment between each pair of places, ns.

    ``measured`` holds latencies where there are any; ``inf`` stands elsewhere, for segments that
    do not compile, and in all tables where there is no segment.
    """

    measured: Matrix
    lower: Matrix
    expected: Matrix
    upper: Matrix
    guard: Guard


def tables_of(known: Knowledge, places: Places) -> BeliefTables:
    """All beliefs that follow from what is known of the segments between ``places``."""
    segments = places.segments()
    num_places = len(places)
    beliefs = known.beliefs(segments)

    def table(values: Matrix) -> Matrix:
        result = np.full((num_places, num_places), np.inf)
        result[segments.first, segments.end] = values
        return result

    at, here = segments.find(*known.measured_segments())
    measured = np.full(len(segments), np.inf)
    measured[at[here]] = beliefs.lower[at[here]]
    return BeliefTables(
        table(measured),
        table(beliefs.lower),
        table(beliefs.expected),
        table(beliefs.upper),
        known.guard,
    )
