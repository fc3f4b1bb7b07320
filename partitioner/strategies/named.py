"""The strategies by the names users give."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from partitioner.strategies.bisection import bisect
from partitioner.strategies.exhaustive import try_everything
from partitioner.strategies.parameter_count import keep_given, keep_start
from partitioner.strategies.search import search_optimal
from partitioner.strategies.strategy import Strategy

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        "optimal": search_optimal,
        "bisection": bisect,
        "parameter-count": keep_start,
        "manual": keep_given,
        "exhaustive": try_everything,
    }
)
