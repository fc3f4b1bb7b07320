"""Planning a segment: everything is decided here but its place in parameter memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from compiler.cutting import Boundary, boundary_of, cut_operators, extract, flow, in_order
from compiler.deadline import Deadline
from compiler.graph import Graph
from compiler.mapping import (
    LARGEST_ACTIVATION_BYTES,
    SegmentMapping,
    largest_activation,
    map_segment,
    operator_name,
    operator_work,
)
from compiler.options import CompileOptions
from devices.errors import ConfigError, ModelError
from devices.executable import OperatorWork, tflite_file

_KEPT_BYTES = 32 * 2**20
"""Up to this size of a model its segments are kept: packing them again takes a third longer."""


@dataclass(frozen=True)
class PlannedPart:
    """What the Edge TPU runs in one go, as a custom operator; nothing if nothing is mapped.

    ``edge`` are the tensors at its ends.  ``work`` is that of its ``operators``, ``cpu_work`` that
    on the CPU behind it, up to the next part, and in front of the first.

    Its model is made when it is asked for, and kept where the whole model is small: of a large one,
    it would take its size once more.
    """

    graph: Graph
    operators: tuple[int, ...]
    edge: Boundary
    work: tuple[OperatorWork, ...]
    cpu_work: tuple[OperatorWork, ...]

    def model(self) -> bytearray | None:
        """What the custom operator will stand for, read only; ``None`` if nothing maps."""
        return self._packed() if self.kept is None else self.kept

    @cached_property
    def kept(self) -> bytearray | None:
        """The same; ``None`` also for a large model."""
        return self._packed() if self.graph.source_bytes <= _KEPT_BYTES else None

    def _packed(self) -> bytearray | None:
        if not self.operators:
            return None
        edge = self.edge
        part = extract(self.graph, self.operators, edge.inputs, edge.outputs)
        return tflite_file.packed(part.model)


@dataclass(frozen=True)
class Plan:
    """One segment: what runs where, how much work it is, and the models it is made of.

    ``edge`` are the tensors at the ends of the segment; its parts are in the order in which they
    run.
    """

    graph: Graph
    operators: Sequence[int]
    options: CompileOptions
    edge: Boundary
    mapping: SegmentMapping
    parts: tuple[PlannedPart, ...]

    @property
    def mapped_count(self) -> int:
        """Operators that run on the Edge TPU."""
        return sum(len(part.operators) for part in self.parts)

    def cpu_data(self) -> bytes:
        """The whole segment as a plain ``.tflite``."""
        if self.mapped_count == len(self.operators) and self.parts[0].kept is not None:
            return bytes(self.parts[0].kept)
        return cut_operators(self.graph, self.operators)


def plan_segment(
    graph: Graph, operators: Sequence[int], options: CompileOptions, deadline: Deadline
) -> Plan:
    """Plan the segment of ``operators``, ascending.

    Raises ``ConfigError`` or ``ModelError`` where the segment cannot be compiled, and
    ``ModelError`` once the deadline has passed.
    """
    if options.cuts:
        raise ConfigError(
            "num_segments and cut_at are for compile_file; give compile_parts the segments instead."
        )
    deadline.check()
    edge = boundary_of(graph, operators)
    check_ends(graph, (*edge.inputs, *edge.outputs))
    mapping = decide(graph, operators, options)
    deadline.check()
    parts = plan_parts(graph, mapping)
    if len(mapping.mapped) == len(operators):
        parts = (replace(parts[0], edge=edge),)
    deadline.check()
    return Plan(graph, operators, options, edge, mapping, parts)


def decide(graph: Graph, operators: Sequence[int], options: CompileOptions) -> SegmentMapping:
    """Where each of a segment's operators runs.

    Raises ``ConfigError`` for tensors that are not there and ``ModelError`` for those too large.
    """
    stops = _stop_tensors(graph, options.intermediate_tensors)
    mapping = map_segment(
        graph,
        operators,
        options.min_runtime_version,
        stops,
        several=options.enable_multiple_subgraphs,
    )
    _refuse_large_activations(graph, mapping.mapped)
    return mapping


def plan_parts(graph: Graph, mapping: SegmentMapping) -> tuple[PlannedPart, ...]:
    """The parts, with nothing at their ends but what they read and make for others."""
    around = ((*mapping.cpu[0], *mapping.cpu[1]), *mapping.cpu[2:])
    return tuple(
        PlannedPart(
            graph=graph,
            operators=part,
            edge=Boundary(*in_order(graph, *flow(graph, frozenset(part)))),
            work=tuple(operator_work(graph, i, "tpu") for i in part),
            cpu_work=tuple(operator_work(graph, i, "cpu") for i in cpu),
        )
        for part, cpu in zip(mapping.parts, around, strict=True)
    )


def check_ends(graph: Graph, tensors: Iterable[int]) -> None:
    """Raise ``ModelError`` if values of one of these tensors cannot be handed to a device."""
    for t in tensors:
        if tflite_file.numpy_name(graph.tensors[t].element_type) is None:
            raise ModelError(
                f"{graph.name}: tensor {graph.tensors[t].name} of type {graph.tensors[t].dtype} "
                "goes in or out of the model, but such values cannot be handed to a device."
            )


def _stop_tensors(graph: Graph, names: Sequence[str]) -> frozenset[int]:
    """The tensors named by ``--intermediate_tensors``.  Raises ``ConfigError`` for unknown ones."""
    by_name = {t.name: t.index for t in graph.tensors if graph.is_activation(t.index)}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ConfigError(
            f"intermediate_tensors names {unknown[0]!r}, but no tensor of {graph.name} that is "
            "computed at run time has this name."
        )
    return frozenset(by_name[name] for name in names)


def _refuse_large_activations(graph: Graph, mapped: Sequence[int]) -> None:
    """Raises ``ModelError`` where Google's compiler fails, too, but does not say why."""
    for index in mapped:
        tensor = largest_activation(graph, index)
        if tensor is not None:
            shape = "x".join(map(str, tensor.shape))
            raise ModelError(
                f"{graph.name}: compilation failed due to large activation tensors in model: "
                f"{operator_name(graph, index)} works on {tensor.name!r}, {shape}, "
                f"{tensor.size_bytes / 2**20:.1f} MiB, where up to "
                f"{LARGEST_ACTIVATION_BYTES >> 20} MiB are assumed to be possible; use a smaller "
                "input, or end the Edge TPU's part before it with --intermediate_tensors."
            )
