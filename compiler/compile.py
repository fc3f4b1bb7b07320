"""Compiling: a segment becomes an executable.

    segment ─► mapping ─► work ─► allocation ─► token ─► seal
               which       how     which          whose
               operators   much    parameters     parameters
               map         each    stay on chip   these are

Three commands share these steps and differ in who shares what:

    one model or segment         its own parameter memory, its own token
    ``--num_segments``           a device each, so its own parameter memory; one token for all
    several models (together)    one parameter memory, filled in order; one token for all

Everything here is a pure function of its arguments; the same model and options give the same
bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from compiler.cutting import (
    Boundary,
    boundary_of,
    check_range,
    cut_operators,
    extract,
    flow,
    in_order,
)
from compiler.graph import Graph
from compiler.mapping import (
    Layer,
    SegmentMapping,
    Status,
    allocate,
    instruction_bytes,
    map_segment,
    operator_work,
    reserved_bytes,
)
from devices.chip import PARAMETER_MEMORY_BYTES
from devices.errors import ConfigError, ModelError
from devices.executable import ExecutableInfo, OperatorWork, seal, tflite_file

DEFAULT_RUNTIME_VERSION = 14
"""Edge TPU runtime the compiler of version 16 builds for unless told otherwise."""

OLDEST_RUNTIME_VERSION = 10
"""Oldest runtime version seen in Google's compiled files."""


@dataclass(frozen=True)
class CompileOptions:
    """What a user can ask of the compiler, named as the command line options.

    ``intermediate_tensors`` are names of tensors behind which nothing is mapped;
    ``delegate_search_step`` and ``search_delegate`` control the search for a mappable front part;
    ``timeout_sec`` bounds one compilation.  Raises ``ConfigError`` for values that make no sense.
    """

    min_runtime_version: int = DEFAULT_RUNTIME_VERSION
    search_delegate: bool = False
    delegate_search_step: int = 1
    intermediate_tensors: tuple[str, ...] = ()
    timeout_sec: float = 180

    def __post_init__(self) -> None:
        if not OLDEST_RUNTIME_VERSION <= self.min_runtime_version <= DEFAULT_RUNTIME_VERSION:
            raise ConfigError(
                f"min_runtime_version is {self.min_runtime_version}, a runtime version from "
                f"{OLDEST_RUNTIME_VERSION} to {DEFAULT_RUNTIME_VERSION} is needed."
            )
        if self.delegate_search_step < 1:
            raise ConfigError(
                f"delegate_search_step is {self.delegate_search_step}, it must be 1 or more."
            )
        if not self.timeout_sec > 0:
            raise ConfigError(f"timeout_sec is {self.timeout_sec}, it must be more than 0.")


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


def compile_segment(
    graph: Graph, first: int, end: int, options: CompileOptions | None = None
) -> CompiledSegment:
    """Compile the operators ``first`` to ``end`` (exclusive) into one executable.

    Raises ``ConfigError`` or ``ModelError`` where the graph cannot be cut there.  A segment none
    of whose operators map compiles too, into an executable that runs on the CPU only.
    """
    check_range(graph, first, end)
    return compile_operators(graph, range(first, end), options)


def compile_operators(
    graph: Graph, operators: Sequence[int], options: CompileOptions | None = None
) -> CompiledSegment:
    """The same for a segment of any operators, ascending: branches need not be in file order.

    What it gives depends on nothing but which operators they are.  Raises as
    :func:`compiler.cutting.cut.check_operators`.
    """
    return _finish([_plan(graph, operators, options or CompileOptions())], grouped=False)[0]


def compile_graph(graph: Graph, options: CompileOptions | None = None) -> CompiledSegment:
    """Compile a whole model.  Raises ``ModelError`` when it is not quantised."""
    check_quantized(graph)
    return compile_segment(graph, 0, len(graph), options)


def compile_segments(
    graph: Graph, cuts: Sequence[int], options: CompileOptions | None = None
) -> tuple[CompiledSegment, ...]:
    """Compile a model as ``len(cuts) + 1`` segments, cut before the operators ``cuts``.

    As with ``--num_segments``, each segment has a device and its parameter memory to itself, and
    all share one caching token.  Raises ``ModelError`` and ``ConfigError``.
    """
    ends = [0, *cuts, len(graph)]
    for first, end in pairwise(ends):
        check_range(graph, first, end)
    return compile_parts(graph, [range(first, end) for first, end in pairwise(ends)], options)


def compile_parts(
    graph: Graph, parts: Sequence[Sequence[int]], options: CompileOptions | None = None
) -> tuple[CompiledSegment, ...]:
    """The same for segments given by their operators, in the order in which they run.

    Raises ``ModelError`` and ``ConfigError``.
    """
    check_quantized(graph)
    chosen = options or CompileOptions()
    return _finish([_plan(graph, part, chosen) for part in parts], grouped=True)


def compile_together(
    models: Sequence[tuple[Graph, CompileOptions]],
) -> tuple[CompiledSegment, ...]:
    """Co-compile models that will share one device.

    Their parameters are laid out one behind the other in the order given, as far as they fit;
    the reserve for executables is that of the largest; all share one caching token.  Raises
    ``ModelError`` when one is not quantised.
    """
    for graph, _ in models:
        check_quantized(graph)
    plans = [_plan(graph, range(len(graph)), options) for graph, options in models]
    return _finish(plans, grouped=len(plans) > 1, shared_memory=True)


def check_quantized(graph: Graph) -> None:
    """Raise ``ModelError`` for a model in which nothing works on 8-bit integers."""
    for tensor in graph.tensors:
        if (
            tensor.is_quantized
            and tensor.dtype in ("int8", "uint8")
            and graph.is_activation(tensor.index)
        ):
            return
    raise ModelError(
        f"Invalid model: {graph.name}: Model not quantized; convert it to TensorFlow Lite with "
        "full integer quantization."
    )


# ---------------------------------------------------------------------------------- the steps


@dataclass(frozen=True)
class _Plan:
    """One segment with everything decided but its place in parameter memory."""

    graph: Graph
    options: CompileOptions
    edge: Boundary
    mapping: SegmentMapping
    work: tuple[OperatorWork, ...]
    cpu_data: bytes
    mapped_edge: Boundary
    mapped_model: bytes | None

    @property
    def mapped_count(self) -> int:
        return len(self.mapping.mapped)


def _plan(graph: Graph, operators: Sequence[int], options: CompileOptions) -> _Plan:
    edge = boundary_of(graph, operators)
    for t in (*edge.inputs, *edge.outputs):
        if tflite_file.numpy_name(graph.tensors[t].element_type) is None:
            raise ModelError(
                f"{graph.name}: tensor {graph.tensors[t].name} of type {graph.tensors[t].dtype} "
                "goes in or out of the model, but such values cannot be handed to a device."
            )
    mapping = map_segment(
        graph,
        operators,
        options.min_runtime_version,
        stop_tensors(graph, options.intermediate_tensors),
    )
    cpu_data = cut_operators(graph, operators)
    mapped_edge = edge
    mapped_model: bytes | None = cpu_data
    if mapping.tail:
        reads, makes = flow(graph, frozenset(mapping.front))
        mapped_edge = Boundary(*in_order(graph, reads, makes))
        mapped_model = (
            tflite_file.pack_model(
                extract(graph, mapping.front, mapped_edge.inputs, mapped_edge.outputs).model
            )
            if mapping.mapped
            else None
        )
    return _Plan(
        graph=graph,
        options=options,
        edge=edge,
        mapping=mapping,
        work=(
            *(operator_work(graph, i, "tpu") for i in mapping.mapped),
            *(operator_work(graph, i, "cpu") for i in (*mapping.head, *mapping.tail)),
        ),
        cpu_data=cpu_data,
        mapped_edge=mapped_edge,
        mapped_model=mapped_model,
    )


def stop_tensors(graph: Graph, names: Sequence[str]) -> frozenset[int]:
    """The tensors named by ``--intermediate_tensors``.  Raises ``ConfigError`` for unknown ones."""
    by_name = {t.name: t.index for t in graph.tensors if graph.is_activation(t.index)}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ConfigError(
            f"intermediate_tensors names {unknown[0]!r}, but no tensor of {graph.name} that is "
            "computed at run time has this name."
        )
    return frozenset(by_name[name] for name in names)


def _finish(
    plans: Sequence[_Plan], *, grouped: bool, shared_memory: bool = False
) -> tuple[CompiledSegment, ...]:
    """Place parameters, choose tokens, write files.

    ``grouped`` executables carry one token, also those that cache nothing, lest running them
    wipe the others' parameters.
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
        _write(plan, replace(info, caching_token=token))
        for plan, info, token in zip(plans, infos, tokens, strict=True)
    )


def _place(plans: Sequence[_Plan], *, shared_memory: bool) -> list[ExecutableInfo]:
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


def _token(plans: Sequence[_Plan], infos: Sequence[ExecutableInfo]) -> int:
    """64 bits of a SHA-256 over what will lie in parameter memory and where; never 0."""
    digest = hashlib.sha256()
    for plan, info in zip(plans, infos, strict=True):
        digest.update(hashlib.sha256(plan.mapped_model or b"").digest())
        digest.update(repr(info).encode())
    return int.from_bytes(digest.digest()[:8], "little") or 1


def _write(plan: _Plan, info: ExecutableInfo) -> CompiledSegment:
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
