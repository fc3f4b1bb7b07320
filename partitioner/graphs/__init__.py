"""From a compiler's graph to a problem: orders, ideals, features of segments, where to start.

The only wing besides ``measuring`` that looks into graphs before there is an answer.
"""

from __future__ import annotations

from partitioner.graphs.crossings import cut_bytes
from partitioner.graphs.graph_features import graph_features
from partitioner.graphs.planning import OrderChoice, problem_asked, problem_of
from partitioner.graphs.precedence import precedence_of
from partitioner.graphs.published_rates import (
    PARAMETER_COUNT,
    POOL,
    published_rates,
    suggesting_rates,
)
from partitioner.graphs.waiting import waits_for

__all__ = [
    "PARAMETER_COUNT",
    "POOL",
    "OrderChoice",
    "cut_bytes",
    "graph_features",
    "precedence_of",
    "problem_asked",
    "problem_of",
    "published_rates",
    "suggesting_rates",
    "waits_for",
]
