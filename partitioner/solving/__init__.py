"""The best cut for known costs, exactly: along one order or through ideals, on one kind or several.

Pure functions over arrays; where the costs come from is not known here.
"""

from __future__ import annotations

from partitioner.solving.paths import (
    Offer,
    Solution,
    best_cuts,
    cheapest_cuts,
    greatest_fastest,
    least_bottleneck,
    least_on_each,
    least_through,
    offers_of,
    on_some_path,
)

__all__ = [
    "Offer",
    "Solution",
    "best_cuts",
    "cheapest_cuts",
    "greatest_fastest",
    "least_bottleneck",
    "least_on_each",
    "least_through",
    "offers_of",
    "on_some_path",
]
