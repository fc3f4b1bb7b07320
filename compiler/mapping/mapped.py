"""Which operators of a segment run on the Edge TPU.

A compiled model has a custom operator, standing for all mapped operators: the Edge TPU's *part*.
CPU operators may be in front of it (the *head*) and behind it (the *tail*)::

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

*Several parts* (``-a``).  Nothing public shows how Google's compiler divides them.  Here everything
supported is mapped, in as few parts as that takes (:mod:`compiler.mapping.turns`), but for two
things.  A part in which nothing is computed (:data:`~compiler.mapping.support.WITHOUT_WORK`) costs
a request and gains nothing: it is left to the CPU, unless it is the only one.  And what is behind a
tensor that ``--intermediate_tensors`` names is not mapped again.

Operators that share a state (the two ends of a recurrent link) are mapped together or not at all,
and run in one turn: the models of an executable keep states of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compiler.graph import Graph, state_groups
from compiler.mapping.support import WITHOUT_WORK, judge, operator_name
from compiler.mapping.table import HINTS
from compiler.mapping.turns import makers_of, take_turns
from compiler.mapping.verdict import Status, Verdict

_Verdicts = dict[int, Verdict]


@dataclass(frozen=True)
class SegmentMapping:
    """Operator indices by where they run, each in execution order, and the verdict on everyone.

    ``parts`` run on the chip, ``cpu`` holds what is in front of the first and behind each.  There
    is at least one part, which is empty if nothing is mapped.
    """

    parts: tuple[tuple[int, ...], ...]
    cpu: tuple[tuple[int, ...], ...]
    verdicts: Mapping[int, Verdict]

    @property
    def mapped(self) -> tuple[int, ...]:
        """All that run on the chip."""
        return tuple(sorted(i for part in self.parts for i in part))

    @property
    def head(self) -> tuple[int, ...]:
        """Those on the CPU in front of the first part."""
        return self.cpu[0]

    @property
    def tail(self) -> tuple[int, ...]:
        """Those on the CPU behind it."""
        return tuple(sorted(i for turn in self.cpu[1:] for i in turn))


def map_segment(
    graph: Graph,
    operators: Sequence[int],
    min_runtime_version: int,
    stop_tensors: frozenset[int] = frozenset(),
    *,
    several: bool = False,
) -> SegmentMapping:
    """Decide where each of a segment's operators runs.

    ``operators`` are the segment's, in execution order.  No operator that reads one of
    ``stop_tensors``, or depends on one that does, is mapped (``--intermediate_tensors``).
    ``several`` allows more than one part.
    """
    verdicts = {i: judge(graph, i, min_runtime_version) for i in operators}
    for i in operators:
        stopped = stop_tensors.intersection(graph.operators[i].inputs)
        if stopped and verdicts[i].is_mapped:
            name = graph.tensors[min(stopped)].name
            verdicts[i] = Verdict(
                Status.SECOND_SUBGRAPH, f"reads {name!r}, which intermediate_tensors names"
            )
    if several:
        _leave_out_stopped(graph, operators, stop_tensors, verdicts)
        turns = _several_parts(graph, operators, verdicts)
    else:
        turns = _one_part(graph, operators, verdicts)
    count = max((turn + 1) // 2 for turn in turns.values())
    by_turn: list[list[int]] = [[] for _ in range(2 * count + 1)]
    for i in operators:
        by_turn[turns[i]].append(i)
    for i in by_turn[0]:
        if _may_stand_in_front(graph, i, verdicts[i]):
            verdicts[i] = _as_head(graph, i, verdicts[i])
    parts, cpu = map(tuple, by_turn[1::2]), map(tuple, by_turn[::2])
    return SegmentMapping(tuple(parts), tuple(cpu), verdicts)


def _one_part(graph: Graph, operators: Sequence[int], verdicts: _Verdicts) -> dict[int, int]:
    """The turn of everyone, what is mapped being one part."""
    groups = [
        members for g in state_groups(graph) if (members := set(g.operators) & verdicts.keys())
    ]
    barred: set[int] = set()
    while True:
        mapped = _spread(graph, operators, verdicts, barred)
        torn = next((g for g in groups if g & mapped and g - mapped), None)
        if torn is None:
            turns = take_turns(graph, operators, mapped)
            torn = next((g for g in groups if len({turns[i] for i in g}) > 1), None)
            if torn is None:
                return turns
            barred |= torn
            continue
        partner = min(torn - mapped)
        for i in torn & mapped:
            reason = f"shares a state with {operator_name(graph, partner)}"
            verdicts[i] = Verdict(Status.SECOND_SUBGRAPH, reason, behind=partner)


def _leave_out_stopped(
    graph: Graph, operators: Sequence[int], stop_tensors: frozenset[int], verdicts: _Verdicts
) -> None:
    """Nothing that needs a result from behind ``intermediate_tensors`` is mapped again."""
    stopped: dict[int, int] = {}
    for i in operators:
        if not stop_tensors.isdisjoint(graph.operators[i].inputs):
            stopped[i] = i
        elif behind := [stopped[maker] for maker in makers_of(graph, i, stopped)]:
            first = stopped[i] = min(behind)
            if verdicts[i].is_mapped:
                reason = f"behind {operator_name(graph, first)}"
                verdicts[i] = Verdict(Status.SECOND_SUBGRAPH, reason, behind=first)


def _several_parts(graph: Graph, operators: Sequence[int], verdicts: _Verdicts) -> dict[int, int]:
    """The turn of everyone, as much being mapped as several parts allow.

    Every round leaves at least one operator more to the CPU.
    """
    while True:
        chip = {i for i in operators if verdicts[i].is_mapped}
        turns = take_turns(graph, operators, chip)
        left = _torn(graph, turns, chip) or _idle(graph, turns, chip)
        if not left:
            return turns
        verdicts.update(left)


def _torn(graph: Graph, turns: dict[int, int], chip: set[int]) -> _Verdicts:
    """Verdicts that keep operators together that have to be, if some are not: those of them on the
    chip join the others on the CPU, or else what the chip does between them."""
    for together, why in graph.inseparable:
        members = [i for i in together if i in turns]
        found = {turns[i] for i in members}
        if len(found) < 2:
            continue
        torn = [i for i in members if i in chip] or [
            i for i in chip if min(found) < turns[i] < max(found)
        ]
        return dict.fromkeys(torn, Verdict(Status.SECOND_SUBGRAPH, f"{why}, and run in one turn"))
    return {}


def _idle(graph: Graph, turns: dict[int, int], chip: set[int]) -> _Verdicts:
    """Verdicts that leave parts without work to the CPU, all but the first if there are no others.

    Everything behind such a part moves two turns to the front, so no two parts become one.
    """
    parts: dict[int, list[int]] = {}
    for i in sorted(chip, key=turns.__getitem__):
        parts.setdefault(turns[i], []).append(i)
    kinds = {turn: {graph.operators[i].kind for i in part} for turn, part in parts.items()}
    idle = [turn for turn in parts if kinds[turn] <= WITHOUT_WORK]
    left: _Verdicts = {}
    for turn in idle if len(idle) < len(parts) else idle[1:]:
        makers = (m for i in parts[turn] for m in makers_of(graph, i, turns) if m not in chip)
        first = min(makers, default=None)
        where = "in front" if first is None else f"behind {operator_name(graph, first)}"
        what = ", ".join(sorted(kinds[turn]))
        reason = f"{where}, where a subgraph would compute nothing, with only {what}"
        left |= dict.fromkeys(parts[turn], Verdict(Status.LIMITATION, reason, behind=first))
    return left


def _spread(
    graph: Graph, operators: Sequence[int], verdicts: _Verdicts, barred: set[int]
) -> set[int]:
    """The operators of one part, in front of which no ``barred`` one may stand.

    Writes down why what could be mapped is not.
    """
    mapped: set[int] = set()
    front: set[int] = set()
    blocker: dict[int, int] = {}  # of each operator that is neither: where that began
    for i in operators:
        makers = list(makers_of(graph, i, verdicts))
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
        elif _may_stand_in_front(graph, i, verdict) and all(maker in front for maker in makers):
            front.add(i)
    return mapped


def _may_stand_in_front(graph: Graph, index: int, verdict: Verdict) -> bool:
    """Whether the chip's part can begin behind this operator: it works on other than 8-bit data, or
    makes 8 bits of them, or is allowed in front.

    A QUANTIZE that the runtime is too old for turns 8 bits into other 8 bits.
    """
    if verdict.in_front:
        return True
    if graph.operators[index].kind == "QUANTIZE":
        return verdict.status in (Status.DATA_TYPE, Status.NOT_SUPPORTED)
    return verdict.status is Status.DATA_TYPE


def _as_head(graph: Graph, index: int, verdict: Verdict) -> Verdict:
    """Google's log gives a QUANTIZE in front the status of operators it could map.

    Whatever it is, it is there because of the model's inputs, so that is what could be changed.
    """
    if verdict.in_front:
        return verdict
    operator = graph.operators[index]
    reason = f"in front of the Edge TPU's part, for {verdict.reason}"
    status = Status.LIMITATION if operator.kind == "QUANTIZE" else verdict.status
    return replace(verdict, status=status, reason=reason, hint=HINTS["QUANTIZE"])
