"""Which operators of a segment run on the Edge TPU.

A compiled model has one custom operator, standing for all mapped operators.  CPU operators may be
in front of it (the *head*) and behind it (the *tail*)::

    inputs ── head: until data are 8 bits ─► custom operator ─► tail ── outputs

Coral's page says the compiler splits "at the first point in the model graph where an unsupported
operation occurs", which leaves two things open.

*Where it begins.*  Google's packages show CAST, QUANTIZE, DEQUANTIZE and float arithmetic in front:
the custom operator begins where 8-bit data begin.  So an operator on data that are not 8 bits ends
nothing as long as nothing in front of it is mapped; an unsupported operator on 8-bit data does.

*What lies behind.*  In a graph with branches, "behind" can mean

order       every operator behind the first unsupported one *in the file*,
dependency  every operator that *needs a result of* an unmapped one.

The first would let the accident of file order push a whole supported branch to the CPU; the
second maps every operator that can run before the CPU starts, and is what is done here.  On a
chain the two agree, and so they do on the SSD segments Google's compiler produced, where
DEQUANTIZE, DEQUANTIZE and TFLite_Detection_PostProcess follow the custom operator: nothing
supported lies beside them.

Operators that share a state (the two ends of a recurrent link) are mapped together or not at all,
and none of them is in the head unless all are: head, custom operator and tail keep states of their
own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compiler.graph import NO_TENSOR, Graph, state_groups
from compiler.mapping.support import judge, operator_name
from compiler.mapping.verdict import Status, Verdict


@dataclass(frozen=True)
class SegmentMapping:
    """Operator indices by where they run, each in execution order, and the verdict on everyone."""

    head: tuple[int, ...]
    mapped: tuple[int, ...]
    tail: tuple[int, ...]
    verdicts: Mapping[int, Verdict]


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
    verdicts = {i: judge(graph, i, min_runtime_version) for i in operators}
    for i in operators:
        stopped = stop_tensors.intersection(graph.operators[i].inputs)
        if stopped and verdicts[i].is_mapped:
            name = graph.tensors[min(stopped)].name
            verdicts[i] = Verdict(
                Status.SECOND_SUBGRAPH, f"reads {name!r}, which intermediate_tensors names"
            )
    groups = [
        members for g in state_groups(graph) if (members := set(g.operators) & verdicts.keys())
    ]
    barred: set[int] = set()
    while True:
        mapped, front = _spread(graph, operators, verdicts, barred)
        torn = next((g for g in groups if g & mapped and g - mapped), None)
        if torn is None:
            head = _needed(graph, mapped, front)
            torn = next((g for g in groups if g & head and g - head), None)
            if torn is None:
                break
            barred |= torn
            continue
        partner = min(torn - mapped)
        for i in torn & mapped:
            reason = f"shares a state with {operator_name(graph, partner)}"
            verdicts[i] = Verdict(Status.SECOND_SUBGRAPH, reason, behind=partner)
    for i in head:
        verdicts[i] = _as_head(graph, i, verdicts[i])
    return SegmentMapping(
        head=tuple(sorted(head)),
        mapped=tuple(sorted(mapped)),
        tail=tuple(i for i in operators if i not in mapped and i not in head),
        verdicts=verdicts,
    )


def _spread(
    graph: Graph, operators: Sequence[int], verdicts: dict[int, Verdict], barred: set[int]
) -> tuple[set[int], set[int]]:
    """The mapped operators, and those that may stand in front of them, which no ``barred`` one may.

    Writes down why what could be mapped is not.
    """
    mapped: set[int] = set()
    front: set[int] = set()
    blocker: dict[int, int] = {}  # of each operator that is neither: where that began
    inside = verdicts.keys()
    for i in operators:
        makers = [
            maker
            for t in graph.operators[i].inputs
            if t != NO_TENSOR and (maker := graph.makers[t]) in inside and maker is not None
        ]
        verdict = verdicts[i]
        behind = [maker for maker in makers if maker not in mapped and maker not in front]
        if behind and (verdict.is_mapped or verdict.status is Status.DATA_TYPE):
            blocker[i] = blocker[min(behind)]
        else:
            blocker[i] = i
        if verdict.is_mapped and behind:
            first = blocker[i]
            reason = f"behind {operator_name(graph, first)}"
            verdicts[i] = Verdict(Status.SECOND_SUBGRAPH, reason, behind=first)
        elif verdict.is_mapped:
            mapped.add(i)
        elif i in barred:
            continue
        elif _leads_to_8_bits(graph, i, verdict) and all(maker in front for maker in makers):
            front.add(i)
    return mapped, front


def _leads_to_8_bits(graph: Graph, index: int, verdict: Verdict) -> bool:
    """Whether 8-bit data can begin behind this operator: it works on, or makes 8 bits of, others.

    A QUANTIZE that the runtime is too old for turns 8 bits into other 8 bits.
    """
    if graph.operators[index].kind == "QUANTIZE":
        return verdict.status in (Status.DATA_TYPE, Status.NOT_SUPPORTED)
    return verdict.status is Status.DATA_TYPE


def _needed(graph: Graph, mapped: set[int], front: set[int]) -> set[int]:
    """Those of ``front`` whose results the mapped operators need, directly or not."""
    needed: set[int] = set()
    waiting = list(mapped)
    while waiting:
        for t in graph.operators[waiting.pop()].inputs:
            maker = None if t == NO_TENSOR else graph.makers[t]
            if maker is not None and maker in front and maker not in needed:
                needed.add(maker)
                waiting.append(maker)
    return needed


def _as_head(graph: Graph, index: int, verdict: Verdict) -> Verdict:
    """Google's log gives a QUANTIZE in front the status of operators it could map."""
    operator = graph.operators[index]
    reason = f"in front of the Edge TPU's part, for {verdict.reason}"
    if operator.kind == "QUANTIZE":
        return replace(verdict, status=Status.LIMITATION, reason=reason)
    return replace(verdict, reason=reason)
