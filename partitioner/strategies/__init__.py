"""The searches: pure functions from a problem and a latency oracle to a partition.

A new strategy is a module here and a line in ``STRATEGIES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from partitioner.strategies.bisection import bisect
from partitioner.strategies.cut_short import best_of_known
from partitioner.strategies.exhaustive import try_everything
from partitioner.strategies.oracle import CostTable, LatencyOracle, Recorder
from partitioner.strategies.parameter_count import keep_given, keep_start
from partitioner.strategies.prospects import least_on_each_choice
from partitioner.strategies.search import search_assigned, search_optimal
from partitioner.strategies.strategy import (
    Kind,
    OnRound,
    SearchOptions,
    Strategy,
    ignore_round,
)

__all__ = [
    "STRATEGIES",
    "CostTable",
    "Kind",
    "LatencyOracle",
    "OnRound",
    "Recorder",
    "SearchOptions",
    "Strategy",
    "best_of_known",
    "bisect",
    "ignore_round",
    "keep_given",
    "keep_start",
    "least_on_each_choice",
    "search_assigned",
    "search_optimal",
    "try_everything",
]

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        "optimal": search_optimal,
        "bisection": bisect,
        "parameter-count": keep_start,
        "manual": keep_given,
        "exhaustive": try_everything,
    }
)
"""By the names users give."""
