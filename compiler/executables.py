"""From plans to executables: the steps that look at all segments at once.

A segment's parameters may lie behind another's in one memory, and segments that belong together
carry one token; so these steps begin when every segment is planned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from compiler.cutting import extract
from compiler.deadline import Deadline
from compiler.mapping import Layer, Status, allocate, instruction_bytes, reserved_bytes
from compiler.planning import Plan
from devices.chip import PARAMETER_MEMORY_BYTES
from devices.executable import ExecutableInfo, seal


@dataclass(frozen=True)
class CompileReport:
    """What the compiler's log says about one executable.

    ``input_bytes`` is the size of the model file, or of the uncompiled segment.
    ``operators`` holds kind and status of each of the segment's operators in execution order,
    custom operators as ``CUSTOM``; ``remaining_on_chip_bytes`` is what is left of the parameter
    memory after this model's share.
    """

    input_bytes: int
    output_bytes: int
    used_on_chip_bytes: int
    remaining_on_chip_bytes: int
    off_chip_bytes: int
    operators: tuple[tuple[str, Status], ...]

    @property
    def mapped_operators(self) -> int:
        """Operators that run on the Edge TPU."""
        return sum(status is Status.MAPPED for _, status in self.operators)

    @property
    def cpu_operators(self) -> int:
        """Operators that run on the CPU."""
        return len(self.operators) - self.mapped_operators


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
            instruction_bytes=instruction_bytes(plan.mapped_count),
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
    tree = extract(plan.graph, plan.mapping.tail, plan.edge.inputs, plan.edge.outputs)
    data = seal(
        info,
        tree.model,
        mapped_model=plan.mapped_model,
        mapped_inputs=[tree.place[t] for t in plan.mapped_edge.inputs] if plan.mapped_count else (),
        mapped_outputs=(
            [tree.place[t] for t in plan.mapped_edge.outputs] if plan.mapped_count else ()
        ),
    )
    operators = plan.graph.operators
    whole = len(plan.mapping.statuses) == len(operators)
    report = CompileReport(
        input_bytes=plan.graph.source_bytes if whole else len(plan.cpu_data),
        output_bytes=len(data),
        used_on_chip_bytes=info.on_chip_bytes,
        remaining_on_chip_bytes=info.available_on_chip_bytes - info.on_chip_bytes,
        off_chip_bytes=info.off_chip_bytes,
        operators=tuple(
            ("CUSTOM" if operators[i].is_custom else operators[i].kind, status)
            for i, status in plan.mapping.statuses.items()
        ),
    )
    return CompiledSegment(data=data, info=info, cpu_data=plan.cpu_data, report=report)
