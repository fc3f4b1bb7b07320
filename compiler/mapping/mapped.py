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

One exception to "no result of an unmapped operator": a QUANTIZE that turns an input of the segment
into 8 bits and cannot map itself, because the input is float or the runtime too old.  Converters
put one at the front of every model with float inputs; Google's compiler leaves it on the CPU, in
front of the custom operator, and maps what follows.  Here it is the *head*: it counts as a CPU
operator but travels with the mapped part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compiler.graph import NO_TENSOR, Graph, state_groups
from compiler.mapping.support import Status, status_of


@dataclass(frozen=True)
class SegmentMapping:
    """Operator indices by where they run, each in execution order, and everyone's status.

    ``head`` are the input converters in front of the mapped operators, ``tail`` the CPU operators
    behind them.
    """

    head: tuple[int, ...]
    mapped: tuple[int, ...]
    tail: tuple[int, ...]
    statuses: Mapping[int, Status]

    @property
    def front(self) -> tuple[int, ...]:
        """What the custom operator stands for: head and mapped operators, in execution order."""
        return tuple(sorted((*self.head, *self.mapped)))


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
    converters = {
        i
        for i in operators
        if statuses[i] is not Status.MAPPED
        and _converts_input(graph, i, operators)
        and not stop_tensors.intersection(graph.operators[i].inputs)
    }
    blocked = _blocked(graph, operators, statuses, stop_tensors, converters)
    mapped = {i for i in operators if i not in blocked and i not in converters}
    head = {
        i
        for i in converters
        if any(reader in mapped for t in graph.operators[i].outputs for reader in graph.readers[t])
    }
    for index in operators:
        if index in head:
            statuses[index] = Status.LIMITATION
        elif index in blocked and statuses[index] is Status.MAPPED:
            statuses[index] = Status.SECOND_SUBGRAPH
    return SegmentMapping(
        head=tuple(sorted(head)),
        mapped=tuple(sorted(mapped)),
        tail=tuple(i for i in operators if i not in mapped and i not in head),
        statuses=statuses,
    )


def _converts_input(graph: Graph, index: int, segment: Sequence[int]) -> bool:
    """Whether the operator makes 8 bits of a tensor handed to the segment from outside."""
    operator = graph.operators[index]
    if operator.kind != "QUANTIZE" or len(operator.inputs) != 1 or len(operator.outputs) != 1:
        return False
    source, result = operator.inputs[0], graph.tensors[operator.outputs[0]]
    return (
        source != NO_TENSOR
        and graph.is_activation(source)
        and graph.makers[source] not in segment
        and graph.tensors[source].dtype in ("float32", "int8", "uint8")
        and result.dtype in ("int8", "uint8")
        and result.is_quantized
    )


def _blocked(
    graph: Graph,
    operators: Sequence[int],
    statuses: Mapping[int, Status],
    stop_tensors: frozenset[int],
    converters: set[int],
) -> set[int]:
    """Operators that cannot be mapped, for their own sake or for another's."""
    blocked: set[int] = set()
    groups = [set(group.operators) for group in state_groups(graph)]
    while True:
        before = len(blocked)
        for index in operators:
            if index in converters:
                continue
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
