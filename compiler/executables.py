"""From plans to executables: the steps that look at all segments at once.

A segment's parameters may lie behind another's in one memory, and segments that belong together
carry one token; so these steps begin when every segment is planned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from compiler.cutting import Boundary, attach, extract, keep
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
from compiler.planning import Plan
from devices.chip import PARAMETER_MEMORY_BYTES
from devices.executable import ExecutableInfo, OperatorWork, seal


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
class CompileReport:
    """What the compiler's log says about one executable.

    ``input_bytes`` is the size of the model file, or of the uncompiled segment.  ``details`` holds
    the segment's operators in execution order; ``remaining_on_chip_bytes`` is what is left of the
    parameter memory after this model's share.  ``note`` is a sentence on an option that was not
    followed, empty if all were.
    """

    input_bytes: int
    output_bytes: int
    used_on_chip_bytes: int
    remaining_on_chip_bytes: int
    off_chip_bytes: int
    details: tuple[OperatorReport, ...]
    note: str = ""

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
    """An executable in memory: its file's bytes, its description, what it was made from."""

    data: bytes
    info: ExecutableInfo
    report: CompileReport
    plan: Plan = field(repr=False, compare=False)

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

    ``grouped`` executables carry one token, also those that cache nothing, lest running them
    wipe the others' parameters.  With ``shared_memory`` their parameters lie one behind the other
    in the memory of one device.  Raises ``ModelError`` once the deadline has passed.
    """
    infos = _place(plans, shared_memory=shared_memory)
    if grouped:
        token = _token(plans, infos)
        tokens = [token if plan.mapped_count else 0 for plan in plans]
    else:
        tokens = [
            _token([plan], [info]) if info.on_chip_bytes else 0
            for plan, info in zip(plans, infos, strict=True)
        ]
    return tuple(
        _write(plan, replace(info, caching_token=token), deadline)
        for plan, info, token in zip(plans, infos, tokens, strict=True)
    )


def _place(plans: Sequence[Plan], *, shared_memory: bool) -> list[ExecutableInfo]:
    if not shared_memory:
        return [place(plan, reserved_bytes(plan.mapped_count), 0) for plan in plans]
    infos: list[ExecutableInfo] = []
    reserve, offset = shared_reserve_bytes(plans), 0
    for plan in plans:
        infos.append(place(plan, reserve, offset))
        offset += infos[-1].on_chip_bytes
    return infos


def shared_reserve_bytes(plans: Sequence[Plan]) -> int:
    """Parameter memory set aside for the executables of models that share a device."""
    return max(reserved_bytes(plan.mapped_count) for plan in plans)


def place(plan: Plan, reserve_bytes: int, offset_bytes: int) -> ExecutableInfo:
    """Which parameters stay on chip behind others of ``offset_bytes``; the token is left open."""
    available = PARAMETER_MEMORY_BYTES - reserve_bytes - offset_bytes
    return placed(plan.work, plan.mapped_count, plan.options, available, offset_bytes)


def placed(
    work: Sequence[OperatorWork],
    mapped_count: int,
    options: CompileOptions,
    available_bytes: int,
    offset_bytes: int = 0,
) -> ExecutableInfo:
    """The description of an executable but for its token, every parameter in its place.

    The first ``mapped_count`` of ``work`` share ``available_bytes`` of parameter memory.
    """
    mapped_work = work[:mapped_count]
    on_chip = allocate(
        [Layer(w.parameter_bytes, w.name == "DEPTHWISE_CONV_2D") for w in mapped_work],
        available_bytes,
    )
    return ExecutableInfo(
        min_runtime_version=options.min_runtime_version,
        caching_token=0,
        on_chip_offset_bytes=offset_bytes,
        instruction_bytes=instruction_bytes(mapped_work),
        available_on_chip_bytes=available_bytes,
        operators=(
            *(replace(w, on_chip=c) for w, c in zip(mapped_work, on_chip, strict=True)),
            *work[mapped_count:],
        ),
    )


def _token(plans: Sequence[Plan], infos: Sequence[ExecutableInfo]) -> int:
    """64 bits of a SHA-256 over what will lie in parameter memory and where; never 0."""
    digest = hashlib.sha256()
    for plan, info in zip(plans, infos, strict=True):
        digest.update(hashlib.sha256(plan.mapped_model() or b"").digest())
        digest.update(repr(info).encode())
    return int.from_bytes(digest.digest()[:8], "little") or 1


def _write(plan: Plan, info: ExecutableInfo, deadline: Deadline) -> CompiledSegment:
    deadline.check()
    head, tail = plan.mapping.head, plan.mapping.tail
    tree = extract(plan.graph, (*head, *tail), plan.edge.inputs, plan.edge.outputs)
    operators = plan.graph.operators
    whole = len(plan.mapping.verdicts) == len(operators)
    keep(tree.model, plan.graph, whole=whole)
    mapped_edge = plan.mapped_edge if plan.mapped_count else Boundary((), ())
    data = seal(
        info,
        tree.model,
        mapped_model=plan.mapped_model(),
        mapped_inputs=[tree.place[t] for t in mapped_edge.inputs],
        mapped_outputs=[tree.place[t] for t in mapped_edge.outputs],
        position=len(head),
    )
    if plan.graph.attached and plan.edge.outputs == plan.graph.outputs:
        data = attach(data, plan.graph.attached)
    operators = plan.graph.operators
    whole = len(plan.operators) == len(operators)
    report = CompileReport(
        input_bytes=plan.graph.source_bytes if whole else len(plan.cpu_data()),
        output_bytes=len(data),
        used_on_chip_bytes=info.on_chip_bytes,
        remaining_on_chip_bytes=info.available_on_chip_bytes - info.on_chip_bytes,
        off_chip_bytes=info.off_chip_bytes,
        details=tuple(
            operator_report(plan.graph, i, verdict) for i, verdict in plan.mapping.verdicts.items()
        ),
        note=_note(plan),
    )
    return CompiledSegment(data=data, info=info, report=report, plan=plan)


def _note(plan: Plan) -> str:
    statuses = [verdict.status for verdict in plan.mapping.verdicts.values()]
    left = statuses.count(Status.SECOND_SUBGRAPH)
    if not (plan.options.enable_multiple_subgraphs and left):
        return ""
    return (
        f"enable_multiple_subgraphs was not followed: this compiler maps one part of a model, so "
        f"{left} operations behind it stay on the CPU, as without the option; compile them as a "
        "segment of their own (--cut_at) to have them mapped."
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
