"""From the bytes of a model to a graph, refusing what is not sound with a sentence that says why.

Finds the bytes, checks the file's structure down to its last offset, brings the operators into an
order in which they can run and works out shapes that converters leave out.
"""

from __future__ import annotations

from compiler.reading.reader import (
    graph_from_bytes,
    graph_to_compile,
    graphs_to_look_at,
    read_graph,
)
from compiler.reading.source import read_source

__all__ = [
    "graph_from_bytes",
    "graph_to_compile",
    "graphs_to_look_at",
    "read_graph",
    "read_source",
]
