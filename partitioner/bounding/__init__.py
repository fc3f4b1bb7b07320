"""What measured segments imply of all others, once it is said what segments have in common.

Formulas only: from a basis and measurements to bounds.  No search is in here, so that those who
search and those who check work out the same from the same evidence.
"""

from __future__ import annotations

from partitioner.bounding.any_order import bound_in_any_order
from partitioner.bounding.bounds import Bounds
from partitioner.bounding.deviations import Deviations
from partitioner.bounding.doubt import chance
from partitioner.bounding.known import Known, bounds_on_any, measured_on_any
from partitioner.bounding.kriging import Kriging
from partitioner.bounding.telling import MOST_TOLD, afar, telling

__all__ = [
    "MOST_TOLD",
    "Bounds",
    "Deviations",
    "Known",
    "Kriging",
    "afar",
    "bound_in_any_order",
    "bounds_on_any",
    "chance",
    "measured_on_any",
    "telling",
]
