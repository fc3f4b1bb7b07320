"""The partitioner: chooses where to cut a model, by measuring what the segments cost.

``STRATEGIES["optimal"]`` answers a :class:`Problem` (``problem_of`` makes one from a graph) by
asking a :class:`LatencyOracle` (a :class:`DeviceProfiler` asks devices) and gives a
:class:`Partition`.  The command line is :mod:`partitioner.cli`.
"""

from __future__ import annotations

from partitioner.certificate.claim import Certificate, certificate_of, check_certificate
from partitioner.graphs.graph_features import cut_bytes, graph_features
from partitioner.graphs.planning import problem_of
from partitioner.measuring.compilers import (
    BuiltInCompiler,
    CompilationFailed,
    ExternalCompiler,
    SegmentCompiler,
    SegmentFiles,
)
from partitioner.measuring.profile import DeviceProfiler
from partitioner.measuring.verify import Verification, verify_chain
from partitioner.problem.features import SegmentFeatures
from partitioner.problem.partition import (
    Guard,
    NoFeasiblePartition,
    Outcome,
    Partition,
    Round,
    Segment,
    SegmentFacts,
    SegmentProfile,
)
from partitioner.problem.problem import Problem
from partitioner.problem.ranges import Range
from partitioner.solving.exact import min_bottleneck, solve
from partitioner.solving.paths import Solution
from partitioner.strategies.bisection import bisect
from partitioner.strategies.exhaustive import try_everything
from partitioner.strategies.named import STRATEGIES
from partitioner.strategies.oracle import CostTable, LatencyOracle
from partitioner.strategies.parameter_count import keep_given, keep_start
from partitioner.strategies.search import search_optimal
from partitioner.strategies.strategy import SearchOptions, Strategy

__all__ = [
    "STRATEGIES",
    "BuiltInCompiler",
    "Certificate",
    "CompilationFailed",
    "CostTable",
    "DeviceProfiler",
    "ExternalCompiler",
    "Guard",
    "LatencyOracle",
    "NoFeasiblePartition",
    "Outcome",
    "Partition",
    "Problem",
    "Range",
    "Round",
    "SearchOptions",
    "Segment",
    "SegmentCompiler",
    "SegmentFacts",
    "SegmentFeatures",
    "SegmentFiles",
    "SegmentProfile",
    "Solution",
    "Strategy",
    "Verification",
    "bisect",
    "certificate_of",
    "check_certificate",
    "cut_bytes",
    "graph_features",
    "keep_given",
    "keep_start",
    "min_bottleneck",
    "problem_of",
    "search_optimal",
    "solve",
    "try_everything",
    "verify_chain",
]
