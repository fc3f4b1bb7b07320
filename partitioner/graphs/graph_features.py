"""The features of a graph's segments, from what the compiler plans before it compiles.

For each first operator, all segments that start there are worked out together, as sums along the
operators: where each operator would run depends only on the first one, and so does which operator
brings a tensor into the segment or makes it leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.graph import NO_TENSOR, Graph
from compiler.mapping import Layer, allocate, available_bytes, judge, operator_work
from compiler.options import DEFAULT_RUNTIME_VERSION
from devices.executable import OperatorWork
from partitioner.problem import Array, Index, Mask, SegmentFeatures, Table

_EXACT_ALLOCATION_LIMIT = 100_000
"""Segments up to which parameter allocation is planned for each; beyond, what exceeds the memory
counts as streamed, which is nearly the same and a thousand times cheaper."""


def graph_features(graph: Graph, positions: Sequence[int]) -> SegmentFeatures:
    """Features of every segment of ``graph`` between ``positions`` (0 and ``len(graph)`` incl.)."""
    at = tuple(positions)
    m = len(at)
    facts = OperatorFacts(graph)
    names = [*BOUNDARY, *INSIDE, *facts.kinds]
    tables: dict[str, Table] = {name: np.zeros((m, m), dtype=np.float32) for name in names}
    rows = _Tables(facts, at)
    ends = np.asarray(at, dtype=np.intp)
    for i, first in enumerate(at[:-1]):
        for name, values in rows.row(first, ends[i + 1 :]).items():
            tables[name][i, i + 1 :] = values
    return SegmentFeatures(
        positions=at,
        boundary={name: tables[name] for name in BOUNDARY},
        inside={name: tables[name] for name in names if name not in BOUNDARY},
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


BOUNDARY = ("request", "bytes in", "bytes out")
INSIDE = (
    "off-chip bytes",
    "activation bytes",
    "operators",
    "cpu operators",
    "cpu macs",
    "cpu bytes",
)


class OperatorFacts:
    """What does not depend on the segment an operator is in."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        indices = range(len(graph))
        self.work = [operator_work(graph, i, "tpu") for i in indices]
        self.supported = [judge(graph, i, DEFAULT_RUNTIME_VERSION).is_mapped for i in indices]
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
        activations = np.array([activation_bytes(work) for work in self.work])
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


def _cpu_horizon(facts: OperatorFacts) -> Index:
    """By operator: the start up to which a segment that has the operator runs it on the CPU.

    An operator is on the CPU when it is not supported or needs something made on the CPU, within
    the segment: that is, when the segment starts at or before the last unsupported operator that
    leads to it (-1: there is none).  An unsupported operator that converts an input of the segment
    blocks nobody, so what counts there is the last operator it depends on.
    """
    horizon = np.full(len(facts.graph), -1, dtype=np.intp)
    for index in range(len(horizon)):
        makers = [facts.graph.makers[t] for t in facts.reads[index]]
        before = [maker for maker in makers if maker is not None]
        if index in facts.converters:
            horizon[index] = max(before, default=-1)
        elif not facts.supported[index]:
            horizon[index] = index
        else:
            horizon[index] = max((horizon[maker] for maker in before), default=-1)
    return horizon


@dataclass(frozen=True, eq=False)
class _Changes:
    """Bytes that ``operator`` adds for segments that start at ``lowest`` up to before ``end``."""

    lowest: Index
    end: Index
    operator: Index
    size: Array

    @classmethod
    def of(cls, entries: Sequence[tuple[int, int, int, int]]) -> _Changes:
        table = np.array(entries, dtype=np.int64).reshape(-1, 4)
        lowest, end, operator = table[:, :3].astype(np.intp).T
        return cls(lowest, end, operator, table[:, 3].astype(np.float64))

    def at(self, first: int) -> tuple[Index, Array]:
        """Operators and bytes for segments that start at ``first``."""
        here = (self.lowest <= first) & (first < self.end)
        return self.operator[here], self.size[here]


class _Tables:
    """The features of all segments: a row for each start, summed up along the ends."""

    def __init__(self, facts: OperatorFacts, at: Sequence[int]) -> None:
        self._facts = facts
        self._at = np.asarray(at, dtype=np.intp)
        self._horizon = _cpu_horizon(facts)
        self._n = len(facts.graph)
        n = self._n
        self._supported = np.array(facts.supported)
        self._macs = np.array([float(work.macs) for work in facts.work])
        self._activations = np.array([float(activation_bytes(work)) for work in facts.work])
        self._parameters = np.array([float(work.parameter_bytes) for work in facts.work])
        self._kind = {
            kind: self._macs * [f"macs of {work.name}" == kind for work in facts.work]
            for kind in facts.kinds
        }
        self._layers = [
            Layer(work.parameter_bytes, work.name == "DEPTHWISE_CONV_2D") for work in facts.work
        ]
        self._exact = len(at) * (len(at) - 1) // 2 <= _EXACT_ALLOCATION_LIMIT
        self._available = available_for(n)
        self._entering, self._leaving = self._transfers()

    def _transfers(self) -> tuple[_Changes, _Changes]:
        """What each operator adds to the bytes in and to the bytes out, by where segments start."""
        facts, horizon = self._facts, self._horizon
        graph = facts.graph
        outputs = set(graph.outputs)
        entering: list[tuple[int, int, int, int]] = []
        for tensor in graph.tensors:
            t, readers = tensor.index, graph.readers[tensor.index]
            if not readers or not graph.is_activation(t):
                continue
            maker = graph.makers[t]
            lowest = 0 if maker is None else maker + 1
            # The operator that brings it in is another one only behind a reader or its horizon.
            turns = {lowest, *(r + 1 for r in readers), *(int(horizon[r]) + 1 for r in readers)}
            starts = sorted(s for s in turns if lowest <= s <= readers[-1])
            for start, following in pairwise([*starts, readers[-1] + 1]):
                reader = next((r for r in readers if r >= start > horizon[r]), None)
                if reader is not None:
                    entering.append((start, following, reader, tensor.size_bytes))
        leaving: list[tuple[int, int, int, int]] = []
        for maker in range(self._n):
            for t in facts.makes[maker]:
                size, readers = graph.tensors[t].size_bytes, graph.readers[t]
                lowest = int(horizon[maker]) + 1
                leaving.append((lowest, maker + 1, maker, size))
                if t not in outputs:
                    ahead = max((int(horizon[r]) for r in readers), default=-1)
                    leaving.append((max(lowest, ahead + 1), maker + 1, readers[-1], -size))
        return _Changes.of(entering), _Changes.of(leaving)

    def row(self, first: int, ends: Index) -> dict[str, Table]:
        """Features of the segments from ``first`` to each of ``ends`` (all behind it)."""
        here = slice(first, self._n)
        mapped = self._supported[here] & (self._horizon[here] < first)
        on_cpu = ~mapped
        take = ends - first - 1

        def total(values: NDArray[Any]) -> Array:
            return np.asarray(np.cumsum(values)[take], dtype=np.float64)

        operators = total(mapped)
        some = operators > 0
        result = {
            "request": some.astype(np.float64),
            "bytes in": self._flow(self._entering, first, take) * some,
            "bytes out": self._flow(self._leaving, first, take) * some,
            "activation bytes": total(self._activations[here] * mapped),
            "operators": operators,
            "cpu operators": total(on_cpu),
            "cpu macs": total(self._macs[here] * on_cpu),
            "cpu bytes": total(self._activations[here] * on_cpu),
        }
        for kind, macs in self._kind.items():
            result[kind] = total(macs[here] * mapped)
        result["off-chip bytes"] = self._off_chip(
            first, ends, mapped, operators, total(self._parameters[here] * mapped)
        )
        return {name: values.astype(np.float32) for name, values in result.items()}

    def _flow(self, changes: _Changes, first: int, take: Index) -> Array:
        operators, sizes = changes.at(first)
        amount = np.bincount(operators - first, weights=sizes, minlength=self._n - first)
        return np.asarray(np.cumsum(amount)[take])

    def _off_chip(
        self, first: int, ends: Index, mapped: Mask, operators: Array, parameters: Array
    ) -> Array:
        available = self._available[operators.astype(np.intp)]
        result: Array = np.maximum(parameters - available, 0.0)
        if self._exact:
            chosen = np.flatnonzero(mapped) + first
            for j in np.flatnonzero(result):
                layers = [self._layers[i] for i in chosen[: int(operators[j])]]
                cached = allocate(layers, int(available[j]))
                result[j] = sum(
                    layer.size_bytes for layer, kept in zip(layers, cached, strict=True) if not kept
                )
        return result


@lru_cache(maxsize=8)
def available_for(most: int) -> Array:
    """Bytes of parameter memory left for parameters beside 0 to ``most`` operators."""
    return np.array([float(available_bytes(count)) for count in range(most + 1)])


def activation_bytes(work: OperatorWork) -> int:
    """Bytes that an operator reads and writes at run time."""
    return work.input_bytes + work.output_bytes
