"""The features of a graph's segments, from what the compiler plans before it compiles.

For each first operator the segment is grown one operator at a time, keeping account of where
each operator would run and what would cross the edge of the mapped part.  So one sweep costs
O(n^2) small steps, where planning every segment afresh would cost O(n^3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from compiler.allocation import Layer, allocate, available_bytes
from compiler.compile import DEFAULT_RUNTIME_VERSION
from compiler.graph import NO_TENSOR, Graph
from compiler.support import Status, status_of
from compiler.work import operator_work
from devices.executable import OperatorWork
from partitioner.features import SegmentFeatures, Table

_EXACT_ALLOCATION_LIMIT = 100_000
"""Segments up to which parameter allocation is planned for each; beyond, what exceeds the memory
counts as streamed, which is nearly the same and a thousand times cheaper."""


def graph_features(graph: Graph, positions: Sequence[int]) -> SegmentFeatures:
    """Features of every segment of ``graph`` between ``positions`` (0 and ``len(graph)`` incl.)."""
    at = tuple(positions)
    column = {position: j for j, position in enumerate(at)}
    m = len(at)
    facts = _OperatorFacts(graph)
    exact = m * (m - 1) // 2 <= _EXACT_ALLOCATION_LIMIT
    names = [*_BOUNDARY, *_INSIDE, *facts.kinds]
    tables: dict[str, Table] = {name: np.zeros((m, m), dtype=np.float32) for name in names}
    for i, first in enumerate(at[:-1]):
        account = _Account(facts, first)
        for index in range(first, len(graph)):
            account.add(index)
            j = column.get(index + 1)
            if j is not None:
                for name, value in account.values(exact=exact).items():
                    tables[name][i, j] = value
    return SegmentFeatures(
        positions=at,
        boundary={name: tables[name] for name in _BOUNDARY},
        inside={name: tables[name] for name in names if name not in _BOUNDARY},
        per_operator=facts.per_operator(),
    )


def cut_bytes(graph: Graph) -> tuple[int, ...]:
    """Bytes crossing a cut at each position 0 to n, for tensors that an operator made.

    Model inputs read late come from the host wherever the cut is, so they do not count.
    """
    change = [0] * (len(graph) + 2)
    for tensor, maker in zip(graph.tensors, graph.makers, strict=True):
        last = graph.readers[tensor.index][-1:]
        if maker is not None and last and last[0] > maker:
            change[maker + 1] += tensor.size_bytes
            change[last[0] + 1] -= tensor.size_bytes
    return tuple(int(total) for total in np.cumsum(change)[: len(graph) + 1])


_BOUNDARY = ("request", "bytes in", "bytes out")
_INSIDE = (
    "off-chip bytes",
    "activation bytes",
    "operators",
    "cpu operators",
    "cpu macs",
    "cpu bytes",
)


class _OperatorFacts:
    """What does not depend on the segment an operator is in."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        indices = range(len(graph))
        self.work = [operator_work(graph, i, "tpu") for i in indices]
        self.supported = [
            status_of(graph, i, DEFAULT_RUNTIME_VERSION) is Status.MAPPED for i in indices
        ]
        self.kinds = tuple(sorted({f"macs of {work.name}" for work in self.work if work.macs}))
        self.converters = {
            operator.index
            for operator in graph.operators
            if operator.kind == "QUANTIZE" and not self.supported[operator.index]
        }
        outputs = set(graph.outputs)
        self.reads = [tuple(t for t in graph.read_by(i) if graph.is_activation(t)) for i in indices]
        self.makes = [
            tuple(
                t
                for t in graph.operators[i].outputs
                if t != NO_TENSOR and graph.makers[t] == i and (graph.readers[t] or t in outputs)
            )
            for i in indices
        ]
        # A model output has one reader more than its operators: the caller.
        self.readers = [len(r) + (t in outputs) for t, r in enumerate(graph.readers)]

    def per_operator(self) -> dict[str, np.ndarray]:
        """Per-operator shares of the features that add up over operators."""
        on_cpu = np.array([not supported for supported in self.supported], dtype=np.float64)
        activations = np.array([_activation_bytes(work) for work in self.work])
        macs = np.array([float(work.macs) for work in self.work])
        result = {
            "activation bytes": activations * (1 - on_cpu),
            "operators": 1 - on_cpu,
            "cpu operators": on_cpu,
            "cpu macs": macs * on_cpu,
            "cpu bytes": activations * on_cpu,
        }
        for kind in self.kinds:
            of_kind = np.array([f"macs of {work.name}" == kind for work in self.work])
            result[kind] = macs * of_kind * (1 - on_cpu)
        return result


@dataclass
class _Account:
    """A growing segment: which operators map, and what they move."""

    facts: _OperatorFacts
    first: int
    bytes_in: int = 0
    bytes_out: int = 0
    layers: list[Layer] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    unread: dict[int, int] = field(default_factory=dict)
    entered: set[int] = field(default_factory=set)
    on_cpu: set[int] = field(default_factory=set)
    mapped: int = 0

    def add(self, index: int) -> None:
        """Append operator ``index``: to the chip, unless it needs something made on the CPU.

        An unsupported operator that converts an input runs on the CPU in front of the chip.
        """
        facts, work = self.facts, self.facts.work[index]
        graph = facts.graph
        converts = index in facts.converters and all(
            maker is None or maker < self.first
            for maker in (graph.makers[t] for t in facts.reads[index])
        )
        behind = any(graph.makers[t] in self.on_cpu for t in facts.reads[index])
        if behind or not facts.supported[index]:
            self._count("cpu operators", 1)
            self._count("cpu macs", work.macs)
            self._count("cpu bytes", _activation_bytes(work))
            if converts:
                self._connect(index)
            else:
                self.on_cpu.add(index)
            return
        self.mapped += 1
        self.layers.append(Layer(work.parameter_bytes, work.name == "DEPTHWISE_CONV_2D"))
        self._count("operators", 1)
        self._count("activation bytes", _activation_bytes(work))
        if work.macs:
            self._count(f"macs of {work.name}", work.macs)
        self._connect(index)

    def _connect(self, index: int) -> None:
        """Account for what an operator of the front part reads and makes."""
        facts, graph = self.facts, self.facts.graph
        for t in facts.reads[index]:
            if t in self.unread:
                self.unread[t] -= 1
                if self.unread[t] == 0:
                    self.bytes_out -= graph.tensors[t].size_bytes
            elif t not in self.entered:
                self.entered.add(t)
                self.bytes_in += graph.tensors[t].size_bytes
        for t in facts.makes[index]:
            self.unread[t] = facts.readers[t]
            self.bytes_out += graph.tensors[t].size_bytes

    def values(self, *, exact: bool) -> dict[str, float]:
        """The features of the segment as it stands."""
        return {
            **self.sums,
            "request": 1.0 if self.mapped else 0.0,
            "bytes in": self.bytes_in if self.mapped else 0,
            "bytes out": self.bytes_out if self.mapped else 0,
            "off-chip bytes": self._off_chip_bytes(exact=exact),
        }

    def _count(self, name: str, amount: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + amount

    def _off_chip_bytes(self, *, exact: bool) -> int:
        available = available_bytes(self.mapped)
        total = sum(layer.size_bytes for layer in self.layers)
        if total <= available:
            return 0
        if not exact:
            return total - available
        cached = allocate(self.layers, available)
        return sum(
            layer.size_bytes for layer, kept in zip(self.layers, cached, strict=True) if not kept
        )


def _activation_bytes(work: OperatorWork) -> int:
    return work.input_bytes + work.output_bytes
