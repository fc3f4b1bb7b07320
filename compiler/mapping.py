"""Which operators of a segment run on the Edge TPU.

A compiled model has one custom operator at its front, standing for all mapped operators; the
others follow on the CPU.  Coral's page says the compiler splits "at the first point in the model
graph where an unsupported operation occurs".  In a graph with branches that can be read in two
ways:

order       every operator behind the first unsupported one *in the file* goes to the CPU,
dependency  every operator that *needs a result of* an unmapped one goes to the CPU.

The first would let the accident of file order push a whole supported branch to the CPU; the
second maps every operator that can run before the CPU starts, and is what is done here.  On a
chain the two agree, and so they do on the SSD segments Google's compiler produced, where
DEQUANTIZE, DEQUANTIZE and TFLite_Detection_PostProcess follow the custom operator: nothing
supported lies beside them.

Operators that share a state (the two ends of a recurrent link) are mapped together or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compiler.graph import NO_TENSOR, Graph, state_groups
from compiler.support import Status, status_of


@dataclass(frozen=True)
class SegmentMapping:
    """Operator indices by where they run, each in execution order, and everyone's status."""

    mapped: tuple[int, ...]
    cpu: tuple[int, ...]
    statuses: Mapping[int, Status]


def map_segment(
    graph: Graph,
    operators: Sequence[int],
    min_runtime_version: int,
    stop_tensors: frozenset[int] = frozenset(),
) -> SegmentMapping:
    """Decide where each of a segment's operators runs.

    ``operators`` are the segment's, in execution order.  No operator that reads one of
    ``stop_tensors``, or depends on one that does, is mapped (``--intermediate_tensors``).
    """
    statuses = {i: status_of(graph, i, min_runtime_version) for i in operators}
    blocked = _blocked(graph, operators, statuses, stop_tensors)
    for index in blocked:
        if statuses[index] is Status.MAPPED:
            statuses[index] = Status.SECOND_SUBGRAPH
    return SegmentMapping(
        mapped=tuple(i for i in operators if i not in blocked),
        cpu=tuple(i for i in operators if i in blocked),
        statuses=statuses,
    )


def _blocked(
    graph: Graph,
    operators: Sequence[int],
    statuses: Mapping[int, Status],
    stop_tensors: frozenset[int],
) -> set[int]:
    """Operators that cannot be mapped, for their own sake or for another's."""
    blocked: set[int] = set()
    groups = [set(group.operators) for group in state_groups(graph)]
    while True:
        before = len(blocked)
        for index in operators:
            makers = (graph.makers[t] for t in graph.operators[index].inputs if t != NO_TENSOR)
            if (
                statuses[index] is not Status.MAPPED
                or stop_tensors.intersection(graph.operators[index].inputs)
                or any(maker in blocked for maker in makers)
            ):
                blocked.add(index)
        for group in groups:
            if group & blocked:
                blocked |= group.intersection(operators)
        if len(blocked) == before:
            return blocked
