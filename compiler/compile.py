"""Compiling: a segment becomes an executable.

    segment ─► mapping ─► work ─► allocation ─► token ─► seal
               which       how     which          whose
               operators   much    parameters     parameters
               map         each    stay on chip   these are

    └── compiler.planning ────┘ └── compiler.executables ──┘

Three commands share these steps and differ in who shares what:

    one model or segment         its own parameter memory, its own token
    ``--num_segments``           a device each, so its own parameter memory; one token for all
    several models (together)    one parameter memory, filled in order; one token for all

Everything here is a pure function of its arguments, but for the time it may take; the same model
and options give the same bytes.  Every function takes a ``deadline``, which may have been set
before the model was read; without one, ``timeout_sec`` of the options counts from the call.
All raise ``ModelError`` once it has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from compiler.cutting import check_range
from compiler.deadline import Deadline
from compiler.executables import CompiledSegment, finish
from compiler.graph import Graph
from compiler.options import CompileOptions
from compiler.planning import Plan, check_ends, plan_segment
from devices.errors import ModelError


def compile_segment(
    graph: Graph,
    first: int,
    end: int,
    options: CompileOptions | None = None,
    *,
    deadline: Deadline | None = None,
) -> CompiledSegment:
    """Compile the operators ``first`` to ``end`` (exclusive) into one executable.

    Raises ``ConfigError`` or ``ModelError`` where the graph cannot be cut there.  A segment none
    of whose operators map compiles too, into an executable that runs on the CPU only.
    """
    check_range(graph, first, end)
    return compile_operators(graph, range(first, end), options, deadline=deadline)


def compile_operators(
    graph: Graph,
    operators: Sequence[int],
    options: CompileOptions | None = None,
    *,
    deadline: Deadline | None = None,
) -> CompiledSegment:
    """The same for a segment of any operators, ascending: branches need not be in file order.

    What it gives depends on nothing but which operators they are.  Raises as
    :func:`compiler.cutting.cut.check_operators`.
    """
    options = options or CompileOptions()
    deadline = deadline or Deadline(options.timeout_sec)
    return finish([plan_segment(graph, operators, options, deadline)], deadline, grouped=False)[0]


def compile_graph(
    graph: Graph, options: CompileOptions | None = None, *, deadline: Deadline | None = None
) -> CompiledSegment:
    """Compile a whole model.  Raises ``ModelError`` when it is not quantised."""
    check_quantized(graph)
    return compile_segment(graph, 0, len(graph), options, deadline=deadline)


def compile_segments(
    graph: Graph,
    cuts: Sequence[int],
    options: CompileOptions | None = None,
    *,
    deadline: Deadline | None = None,
) -> tuple[CompiledSegment, ...]:
    """Compile a model as ``len(cuts) + 1`` segments, cut before the operators ``cuts``.

    As with ``--num_segments``, each segment has a device and its parameter memory to itself, and
    all share one caching token.  Raises ``ModelError`` and ``ConfigError``.
    """
    ends = [0, *cuts, len(graph)]
    for first, end in pairwise(ends):
        check_range(graph, first, end)
    parts = [range(first, end) for first, end in pairwise(ends)]
    return compile_parts(graph, parts, options, deadline=deadline)


def compile_parts(
    graph: Graph,
    parts: Sequence[Sequence[int]],
    options: CompileOptions | None = None,
    *,
    deadline: Deadline | None = None,
) -> tuple[CompiledSegment, ...]:
    """The same for segments given by their operators, in the order in which they run.

    Raises ``ModelError`` and ``ConfigError``.
    """
    check_quantized(graph)
    options = options or CompileOptions()
    deadline = deadline or Deadline(options.timeout_sec)
    plans = [plan_segment(graph, part, options, deadline) for part in parts]
    return finish(plans, deadline, grouped=True)


def compile_together(
    models: Sequence[tuple[Graph, CompileOptions]], *, deadline: Deadline | None = None
) -> tuple[CompiledSegment, ...]:
    """Co-compile models that will share one device.

    Their parameters are laid out one behind the other in the order given, as far as they fit;
    the reserve for executables is that of the largest; all share one caching token.  Without a
    deadline the shortest ``timeout_sec`` counts for all.  Raises ``ModelError`` when one is not
    quantised.
    """
    deadline = deadline or Deadline(min(options.timeout_sec for _, options in models))
    plans = plan_models(models, deadline)
    return finish(plans, deadline, grouped=len(plans) > 1, shared_memory=True)


def plan_models(
    models: Sequence[tuple[Graph, CompileOptions]], deadline: Deadline
) -> tuple[Plan, ...]:
    """Plan whole models.  Raises as :func:`compile_graph`."""
    for graph, _ in models:
        check_quantized(graph)
    return tuple(
        plan_segment(graph, range(len(graph)), options, deadline) for graph, options in models
    )


def check_quantized(graph: Graph) -> None:
    """Raise ``ModelError`` for a model in which nothing works on 8-bit integers.

    And for one whose inputs or outputs cannot be handed to a device.
    """
    check_ends(graph, (*graph.inputs, *graph.outputs))
    for tensor in graph.tensors:
        if (
            tensor.is_quantized
            and tensor.dtype in ("int8", "uint8")
            and graph.is_activation(tensor.index)
        ):
            return
    if any(tensor.is_quantized and tensor.dtype == "int16" for tensor in graph.tensors):
        raise ModelError(
            f"Invalid model: {graph.name}: Model is quantized to 16-bit activations; the Edge TPU "
            "computes with 8 bits, convert it with full integer quantization to int8."
        )
    raise ModelError(
        f"Invalid model: {graph.name}: Model not quantized; edgetpu-quantize makes it full int8 "
        "from samples of its input, or convert it to TensorFlow Lite with full integer "
        "quantization."
    )
