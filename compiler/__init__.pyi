from .compile import (
    compile_graph,
    compile_operators,
    compile_parts,
    compile_segment,
    compile_segments,
    compile_together,
)
from .cutting import (
    Boundary,
    Crossing,
    boundary,
    boundary_of,
    crossing,
    cut,
    cut_operators,
    parameter_count_cuts,
    parameter_count_parts,
    segment_stem,
)
from .deadline import Deadline
from .executables import CompiledSegment, CompileReport
from .flags import FlagParser
from .graph import Graph, Operator, Tensor
from .mapping import Status
from .options import CompileOptions
from .ordering import first_come
from .reading import graph_from_bytes, read_graph

__all__ = [
    "Boundary",
    "CompileOptions",
    "CompileReport",
    "CompiledSegment",
    "Crossing",
    "Deadline",
    "FlagParser",
    "Graph",
    "Operator",
    "Status",
    "Tensor",
    "boundary",
    "boundary_of",
    "compile_graph",
    "compile_operators",
    "compile_parts",
    "compile_segment",
    "compile_segments",
    "compile_together",
    "crossing",
    "cut",
    "cut_operators",
    "first_come",
    "graph_from_bytes",
    "parameter_count_cuts",
    "parameter_count_parts",
    "read_graph",
    "segment_stem",
]
