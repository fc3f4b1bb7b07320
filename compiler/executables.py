"""From plans to executables: the steps that look at all segments at once.

A segment's parameters may lie behind another's in one memory, and segments that belong together
carry one token; so these steps begin when every segment is planned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from compiler.cutting import attach, extract, keep
from compiler.deadline import Deadline
from compiler.graph import NO_TENSOR, Graph
from compiler.mapping import (
    Layer,
    Status,
    Verdict,
    allocate,
    instruction_bytes,
    operator_work,
    reserved_bytes,
)
from compiler.options import CompileOptions
from compiler.planning import Plan, PlannedPart
from devices.chip import PARAMETER_MEMORY_BYTES
from devices.executable import ExecutableInfo, Package, seal, together


@dataclass(frozen=True)
class OperatorReport:
    """Where one operator runs and why.

    ``index`` counts the model's operators as they lie in the file; ``kind`` is ``CUSTOM`` for
    custom operators; ``name`` is that of its first output.  The verdict's ``behind`` counts as
    ``index`` does.
    """

    index: int
    kind: str
    name: str
    macs: int
    verdict: Verdict


@dataclass(frozen=True)
class SubgraphReport:
    """One of the Edge TPU's parts; operators count as they lie in the file.

    ``behind`` is the first operator on the CPU whose result it waits for, if there is one.
    """

    operators: tuple[int, ...]
    behind: int | None


@dataclass(frozen=True)
class FoldedReport:
    """An operator whose result was known when the model was compiled; counts as others do."""

    index: int
    kind: str
    name: str


@dataclass(frozen=True)
class CompileReport:
    """What the compiler's log says about one executable.

    ``input_bytes`` is the size of the model file, or of the uncompiled segment.  ``details`` holds
    the segment's operators in execution order; ``remaining_on_chip_bytes`` is what is left of the
    parameter memory after this model's share.  ``subgraphs`` are the Edge TPU's parts; sizes are
    those of all of them.  ``folded`` are the model's operators that are in no executable, because
    what they compute is a constant there.
    """

    input_bytes: int
    output_bytes: int
    used_on_chip_bytes: int
    remaining_on_chip_bytes: int
    off_chip_bytes: int
    details: tuple[OperatorReport, ...]
    subgraphs: tuple[SubgraphReport, ...]
    folded: tuple[FoldedReport, ...] = ()

    @property
    def operators(self) -> tuple[tuple[str, Status], ...]:
        """Kind and status of each operator."""
        return tuple((one.kind, one.verdict.status) for one in self.details)

    @property
    def mapped_operators(self) -> int:
        """Operators that run on the Edge TPU."""
        return sum(one.verdict.is_mapped for one in self.details)

    @property
    def cpu_operators(self) -> int:
        """Operators that run on the CPU."""
        return len(self.details) - self.mapped_operators

    @property
    def mapped_share(self) -> float:
        """Which part of the multiply-accumulates is mapped; of the operators where none has any."""
        macs = sum(one.macs for one in self.details)
        if not macs:
            return self.mapped_operators / max(1, len(self.details))
        return sum(one.macs for one in self.details if one.verdict.is_mapped) / macs


@dataclass(frozen=True)
class CompiledSegment:
    """An executable in memory: its file's bytes, its parts' descriptions, what it was made from."""

    data: bytes
    infos: tuple[ExecutableInfo, ...]
    report: CompileReport
    plan: Plan = field(repr=False, compare=False)

    @property
    def info(self) -> ExecutableInfo:
        """The description of all parts together."""
        return together(self.infos)

    @property
    def cpu_data(self) -> bytes:
        """The uncompiled segment, a plain ``.tflite``, made when it is asked for."""
        return self.plan.cpu_data()


def finish(
    plans: Sequence[Plan],
    deadline: Deadline,
    *,
    grouped: bool,
    shared_memory: bool = False,
) -> tuple[CompiledSegment, ...]:
    """Place parameters, choose tokens, write executables, one for each plan.

    ``grouped`` executables carry one token, and so do the parts of any, also those that cache
    nothing, lest running them wipe the others' parameters.  With ``shared_memory`` their parameters
    lie one behind the other in the memory of one device, as those of parts always do.  Raises
    ``ModelError`` once the deadline has passed.
    """
    groups = [plans] if shared_memory else [[plan] for plan in plans]
    infos = [placed for group in groups for placed in _place(group)]
    if grouped:
        token = _token(plans, infos)
        tokens = [token if plan.mapped_count else 0 for plan in plans]
    else:
        tokens = [
            _token([plan], [placed]) if any(info.on_chip_bytes for info in placed) else 0
            for plan, placed in zip(plans, infos, strict=True)
        ]
    return tuple(
        _write(plan, tuple(replace(info, caching_token=token) for info in placed), deadline)
        for plan, placed, token in zip(plans, infos, tokens, strict=True)
    )


_Placed = tuple[ExecutableInfo, ...]


def _place(plans: Sequence[Plan]) -> list[_Placed]:
    """The parts of plans that share the memory of one device."""
    placed: list[_Placed] = []
    reserve, offset = shared_reserve_bytes(plans), 0
    for plan in plans:
        placed.append(place(plan.parts, plan.options, reserve, offset))
        offset += sum(info.on_chip_bytes for info in placed[-1])
    return placed


def shared_reserve_bytes(plans: Sequence[Plan]) -> int:
    """Parameter memory set aside for the executables of models that share a device."""
    return max(reserve_of(plan.parts) for plan in plans)


def reserve_of(parts: Sequence[PlannedPart]) -> int:
    """The same for the parts of one model: what the largest of them needs."""
    return max(reserved_bytes(len(part.operators)) for part in parts)


def place(
    parts: Sequence[PlannedPart],
    options: CompileOptions,
    reserve_bytes: int,
    offset_bytes: int = 0,
) -> tuple[ExecutableInfo, ...]:
    """The descriptions of parts but for their token, every parameter in its place.

    They lie one behind the other, and behind others of ``offset_bytes``, in what ``reserve_bytes``
    leave of the chip's parameter memory.
    """
    infos = []
    for part in parts:
        available = PARAMETER_MEMORY_BYTES - reserve_bytes - offset_bytes
        on_chip = allocate(
            [Layer(w.parameter_bytes, w.name == "DEPTHWISE_CONV_2D") for w in part.work],
            available,
        )
        work = (replace(w, on_chip=kept) for w, kept in zip(part.work, on_chip, strict=True))
        info = ExecutableInfo(
            min_runtime_version=options.min_runtime_version,
            caching_token=0,
            on_chip_offset_bytes=offset_bytes,
            instruction_bytes=instruction_bytes(part.work),
            available_on_chip_bytes=available,
            operators=(*work, *part.cpu_work),
        )
        offset_bytes += info.on_chip_bytes
        infos.append(info)
    return tuple(infos)


def _token(plans: Sequence[Plan], infos: Sequence[_Placed]) -> int:
    """64 bits of a SHA-256 over what will lie in parameter memory and where; never 0."""
    digest = hashlib.sha256()
    for plan, placed in zip(plans, infos, strict=True):
        for part, info in zip(plan.parts, placed, strict=True):
            digest.update(hashlib.sha256(part.model() or b"").digest())
            digest.update(repr(info).encode())
    return int.from_bytes(digest.digest()[:8], "little") or 1


def _write(plan: Plan, infos: _Placed, deadline: Deadline) -> CompiledSegment:
    deadline.check()
    cpu = plan.mapping.cpu
    tree = extract(
        plan.graph,
        [i for turn in cpu for i in turn],
        plan.edge.inputs,
        plan.edge.outputs,
        between=[t for part in plan.parts for t in (*part.edge.inputs, *part.edge.outputs)],
    )
    operators = plan.graph.operators
    whole = len(plan.mapping.verdicts) == len(operators)
    keep(tree.model, plan.graph, whole=whole)
    positions = accumulate(len(turn) for turn in cpu)
    data = seal(
        tree.model,
        (
            Package(
                info,
                part.model(),
                [tree.place[t] for t in part.edge.inputs],
                [tree.place[t] for t in part.edge.outputs],
                position,
            )
            for part, info, position in zip(plan.parts, infos, positions, strict=False)
        ),
    )
    if plan.graph.attached and plan.edge.outputs == plan.graph.outputs:
        data = attach(data, plan.graph.attached)
    info = together(infos)
    report = CompileReport(
        input_bytes=plan.graph.source_bytes if whole else len(plan.cpu_data()),
        output_bytes=len(data),
        used_on_chip_bytes=info.on_chip_bytes,
        remaining_on_chip_bytes=info.available_on_chip_bytes - info.on_chip_bytes,
        off_chip_bytes=info.off_chip_bytes,
        details=tuple(
            operator_report(plan.graph, i, verdict) for i, verdict in plan.mapping.verdicts.items()
        ),
        subgraphs=_subgraphs(plan),
        folded=folded_report(plan.graph),
    )
    return CompiledSegment(data=data, infos=infos, report=report, plan=plan)


def _subgraphs(plan: Plan) -> tuple[SubgraphReport, ...]:
    operators, makers = plan.graph.operators, plan.graph.makers
    on_cpu = plan.mapping.verdicts.keys() - set(plan.mapping.mapped)
    found = []
    for part in plan.parts:
        behind = [operators[i].file_index for t in part.edge.inputs if (i := makers[t]) in on_cpu]
        indices = tuple(operators[i].file_index for i in part.operators)
        if indices:
            found.append(SubgraphReport(indices, min(behind, default=None)))
    return tuple(found)


def folded_report(graph: Graph) -> tuple[FoldedReport, ...]:
    """What to say of the operators that a graph was read without."""
    return tuple(
        FoldedReport(one.file_index, one.kind, graph.tensors[one.outputs[0]].name)
        for one in graph.folded
    )


def operator_report(graph: Graph, index: int, verdict: Verdict) -> OperatorReport:
    """What to say of an operator on which this is the verdict."""
    operator = graph.operators[index]
    made = [t for t in operator.outputs if t != NO_TENSOR]
    if verdict.behind is not None:
        verdict = replace(verdict, behind=graph.operators[verdict.behind].file_index)
    return OperatorReport(
        index=operator.file_index,
        kind="CUSTOM" if operator.is_custom else operator.kind,
        name=graph.tensors[made[0]].name if made else "",
        macs=operator_work(graph, index, "cpu").macs,
        verdict=verdict,
    )
