"""The partitioner: chooses where to cut a model, by measuring what the segments cost.

``STRATEGIES["optimal"]`` answers a :class:`Problem` (``problem_of`` makes one from a graph) by
asking a :class:`LatencyOracle` (a :class:`DeviceProfiler` asks devices) and gives a
:class:`Partition`.  The command line is :mod:`partitioner.cli`.
"""

from __future__ import annotations

from partitioner.certificate import Certificate, certificate_of, check_certificate
from partitioner.graphs import cut_bytes, graph_features, problem_of
from partitioner.measuring import (
    BuiltInCompiler,
    CompilationFailed,
    DeviceProfiler,
    ExternalCompiler,
    SegmentCompiler,
    SegmentFiles,
    Verification,
    verify_chain,
)
from partitioner.problem import (
    Guard,
    NoFeasiblePartition,
    Outcome,
    Partition,
    Problem,
    Range,
    Round,
    Segment,
    SegmentFacts,
    SegmentFeatures,
    SegmentProfile,
)
from partitioner.solving import Solution, min_bottleneck, solve
from partitioner.strategies import (
    STRATEGIES,
    CostTable,
    LatencyOracle,
    SearchOptions,
    Strategy,
    bisect,
    keep_given,
    keep_start,
    search_optimal,
    try_everything,
)

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
