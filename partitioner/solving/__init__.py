"""The best cut for known costs, exactly: along one order, through ideals, over unequal devices.

Pure functions over arrays; where the costs come from is not known here.
"""

from __future__ import annotations

from partitioner.solving.assignment import (
    AssignedSolution,
    assigned_greatest_fastest,
    assigned_least_bottleneck,
    cheapest_assignment,
    solve_assigned,
)
from partitioner.solving.exact import Matrix, min_bottleneck, solve
from partitioner.solving.paths import (
    Solution,
    best_cuts,
    cheapest_cuts,
    greatest_fastest,
    least_bottleneck,
    on_some_path,
)
from partitioner.solving.value import best_value

__all__ = [
    "AssignedSolution",
    "Matrix",
    "Solution",
    "assigned_greatest_fastest",
    "assigned_least_bottleneck",
    "best_cuts",
    "best_value",
    "cheapest_assignment",
    "cheapest_cuts",
    "greatest_fastest",
    "least_bottleneck",
    "min_bottleneck",
    "on_some_path",
    "solve",
    "solve_assigned",
]
