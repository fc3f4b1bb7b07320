"""From plans to executables: the steps that look at all segments at once.

A segment's parameters may lie behind another's in one memory, and segments that belong together
carry one token; so these steps begin when every segment is planned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from compiler.cutting import Boundary, extract
from compiler.deadline import Deadline
from compiler.graph import NO_TENSOR
from compiler.mapping import (
    Layer,
    Status,
    Verdict,
    allocate,
    instruction_bytes,
    operator_work,
    reserved_bytes,
)
from compiler.planning import Plan
from devices.chip import PARAMETER_MEMORY_BYTES
from devices.executable import ExecutableInfo, seal


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
    parameter memory after this model's share.
    """

    input_bytes: int
    output_bytes: int
    used_on_chip_bytes: int
    remaining_on_chip_bytes: int
    off_chip_bytes: int
    details: tuple[OperatorReport, ...]

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
    """An executable in memory: its file's bytes, its description, the segment it was made from.

    ``cpu_data`` is the uncompiled segment, a plain ``.tflite``.
    """

    data: bytes
    info: ExecutableInfo
    cpu_data: bytes
    report: CompileReport


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
    infos = []
    shared_reserve = max(reserved_bytes(plan.mapped_count) for plan in plans)
    offset = 0
    for plan in plans:
        reserve = shared_reserve if shared_memory else reserved_bytes(plan.mapped_count)
        available = PARAMETER_MEMORY_BYTES - reserve - offset
        mapped_work = plan.work[: plan.mapped_count]
        on_chip = allocate(
            [Layer(w.parameter_bytes, w.name == "DEPTHWISE_CONV_2D") for w in mapped_work],
            available,
        )
        placed = (
            *(replace(w, on_chip=c) for w, c in zip(mapped_work, on_chip, strict=True)),
            *plan.work[plan.mapped_count :],
        )
        info = ExecutableInfo(
            min_runtime_version=plan.options.min_runtime_version,
            caching_token=0,
            on_chip_offset_bytes=offset,
            instruction_bytes=instruction_bytes(mapped_work),
            available_on_chip_bytes=available,
            operators=placed,
        )
        infos.append(info)
        if shared_memory:
            offset += info.on_chip_bytes
    return infos


def _token(plans: Sequence[Plan], infos: Sequence[ExecutableInfo]) -> int:
    """64 bits of a SHA-256 over what will lie in parameter memory and where; never 0."""
    digest = hashlib.sha256()
    for plan, info in zip(plans, infos, strict=True):
        digest.update(hashlib.sha256(plan.mapped_model or b"").digest())
        digest.update(repr(info).encode())
    return int.from_bytes(digest.digest()[:8], "little") or 1


def _write(plan: Plan, info: ExecutableInfo, deadline: Deadline) -> CompiledSegment:
    deadline.check()
    head, tail = plan.mapping.head, plan.mapping.tail
    tree = extract(plan.graph, (*head, *tail), plan.edge.inputs, plan.edge.outputs)
    mapped_edge = plan.mapped_edge if plan.mapped_count else Boundary((), ())
    data = seal(
        info,
        tree.model,
        mapped_model=plan.mapped_model,
        mapped_inputs=[tree.place[t] for t in mapped_edge.inputs],
        mapped_outputs=[tree.place[t] for t in mapped_edge.outputs],
        position=len(head),
    )
    operators = plan.graph.operators
    whole = len(plan.mapping.verdicts) == len(operators)
    report = CompileReport(
        input_bytes=plan.graph.source_bytes if whole else len(plan.cpu_data),
        output_bytes=len(data),
        used_on_chip_bytes=info.on_chip_bytes,
        remaining_on_chip_bytes=info.available_on_chip_bytes - info.on_chip_bytes,
        off_chip_bytes=info.off_chip_bytes,
        details=tuple(_report(plan, i) for i in plan.mapping.verdicts),
    )
    return CompiledSegment(data=data, info=info, cpu_data=plan.cpu_data, report=report)


def _report(plan: Plan, index: int) -> OperatorReport:
    operator = plan.graph.operators[index]
    made = [t for t in operator.outputs if t != NO_TENSOR]
    verdict = plan.mapping.verdicts[index]
    if verdict.behind is not None:
        verdict = replace(verdict, behind=plan.graph.operators[verdict.behind].file_index)
    return OperatorReport(
        index=operator.file_index,
        kind="CUSTOM" if operator.is_custom else operator.kind,
        name=plan.graph.tensors[made[0]].name if made else "",
        macs=operator_work(plan.graph, index, "cpu").macs,
        verdict=verdict,
    )
