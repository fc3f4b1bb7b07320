"""The compiler: reads TFLite graphs, cuts them, and makes executables for Edge TPUs.

(see docs/architecture.md)
"""

from compiler.compile import (
    CompiledSegment,
    CompileOptions,
    CompileReport,
    compile_graph,
    compile_segment,
    compile_segments,
    compile_together,
)
from compiler.cut import Boundary, Crossing, boundary, crossing, cut
from compiler.graph import Graph, Operator, Tensor
from compiler.reading import graph_from_bytes, read_graph
from compiler.segments import parameter_count_cuts, segment_stem
from compiler.support import Status

__all__ = [
    "Boundary",
    "CompileOptions",
    "CompileReport",
    "CompiledSegment",
    "Crossing",
    "Graph",
    "Operator",
    "Status",
    "Tensor",
    "boundary",
    "compile_graph",
    "compile_segment",
    "compile_segments",
    "compile_together",
    "crossing",
    "cut",
    "graph_from_bytes",
    "parameter_count_cuts",
    "read_graph",
    "segment_stem",
]
