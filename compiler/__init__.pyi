from .appending import NewOperator, NewTensor, append_operators, look_at, up_to
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
    Mark,
    boundary,
    boundary_of,
    crossing,
    cut,
    cut_operators,
    parameter_count_cuts,
    parameter_count_parts,
    parts_at,
    segment_stem,
)
from .deadline import Deadline
from .executables import CompiledSegment, CompileReport
from .flags import FlagParser
from .graph import Graph, Operator, Tensor
from .mapping import Status
from .models import CompiledModel, compile_file
from .options import CompileOptions
from .ordering import first_come
from .reading import graph_from_bytes, read_graph

__all__ = [
    "Boundary",
    "CompileOptions",
    "CompileReport",
    "CompiledModel",
    "CompiledSegment",
    "Crossing",
    "Deadline",
    "FlagParser",
    "Graph",
    "Mark",
    "NewOperator",
    "NewTensor",
    "Operator",
    "Status",
    "Tensor",
    "append_operators",
    "boundary",
    "boundary_of",
    "compile_file",
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
    "look_at",
    "parameter_count_cuts",
    "parameter_count_parts",
    "parts_at",
    "read_graph",
    "segment_stem",
    "up_to",
]
