"""What segments take by what the compiler plans for them, without compiling any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

import compiler.mapping.allocation
from compiler import Graph
from compiler.cutting import flow
from compiler.mapping import (
    Layer,
    SegmentMapping,
    allocate,
    instruction_bytes,
    map_segment,
    operator_work,
)
from compiler.options import DEFAULT_RUNTIME_VERSION
from devices.chip import Host, LatencyModel
from devices.executable import ExecutableInfo, OperatorWork
from partitioner.problem import Range, operators_of

Latency = Callable[[Range], int]


class Planner:
    """What the compiler would say of segments of ``graph``, without the work of writing them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._work: dict[tuple[int, str], OperatorWork] = {}

    def work(self, index: int, on: str) -> OperatorWork:
        """The work of an operator ``on`` the ``tpu`` or the ``cpu``."""
        if (index, on) not in self._work:
            self._work[index, on] = operator_work(self.graph, index, on)  # type: ignore[arg-type]
        return self._work[index, on]

    def executable(self, mapping: SegmentMapping) -> ExecutableInfo:
        """What would be written for a segment mapped like this."""
        tpu = [self.work(i, "tpu") for i in mapping.mapped]
        layers = [Layer(w.parameter_bytes, w.name == "DEPTHWISE_CONV_2D") for w in tpu]
        available = compiler.mapping.allocation.available_bytes(len(tpu))
        kept = allocate(layers, available)
        placed = [replace(w, on_chip=here) for w, here in zip(tpu, kept, strict=True)]
        return ExecutableInfo(
            min_runtime_version=DEFAULT_RUNTIME_VERSION,
            caching_token=0,
            on_chip_offset_bytes=0,
            instruction_bytes=instruction_bytes(tpu),
            available_on_chip_bytes=available,
            operators=(*placed, *(self.work(i, "cpu") for i in (*mapping.head, *mapping.tail))),
        )


@dataclass(frozen=True)
class Chip:
    """A host's latency model; with ``own``, operators take that many nanoseconds each instead."""

    host: Host
    own: np.ndarray | None = None

    def latency_ns(
        self, planner: Planner, operators: tuple[int, ...], *, transfers: bool = True
    ) -> int:
        """Of the segment of these operators of the planner's graph, also without ``transfers``."""
        mapping = map_segment(planner.graph, operators, DEFAULT_RUNTIME_VERSION)
        reads, makes = flow(planner.graph, frozenset(mapping.mapped))
        size_in, size_out = (
            sum(planner.graph.tensors[t].size_bytes for t in tensors) for tensors in (reads, makes)
        )
        if not transfers:
            size_in = size_out = 0
        info = planner.executable(mapping)
        timing = LatencyModel(self.host).timing(info, size_in, size_out, cold=False)
        if self.own is None:
            return timing.total_ns
        moved = timing.input_ns + timing.output_ns + timing.streaming_ns
        return int(timing.overhead_ns + moved + sum(self.own[i] for i in operators))


def remembered(planner: Planner, chip: Chip, store: dict[Range, int]) -> Latency:
    """What segments take, planned as they are asked for and kept in ``store``."""

    def latency(runs: Range) -> int:
        if runs not in store:
            store[runs] = chip.latency_ns(planner, operators_of(runs))
        return store[runs]

    return latency
