"""The features of segments between ideals of a graph, and what crosses cuts there.

The counterpart of :mod:`partitioner.graphs.graph_features` for segments that are any operators
closed under the ways between them.  Where an operator would run depends on which unsupported
operators are in the segment with it, so everything is worked out on tables of segments by
operators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.graph import Graph
from partitioner.graphs.graph_features import (
    BOUNDARY,
    INSIDE,
    OperatorFacts,
    activation_bytes,
    available_for,
)
from partitioner.problem import Array, Ideals, Mask, SetFeatures

_CHUNK = 65_536
"""Segments worked out at once, which bounds memory."""


def graph_set_features(graph: Graph, ideals: Ideals) -> SetFeatures:
    """Features of every segment of ``graph`` between two of ``ideals``."""
    facts = OperatorFacts(graph)
    count = ideals.distinct_segments
    names = [*BOUNDARY, *INSIDE, *facts.kinds]
    columns = {name: np.zeros(count, dtype=np.float32) for name in names}
    entering = np.zeros(count, dtype=np.int64)
    leaving = np.zeros(count, dtype=np.int64)
    segments = SetWork(facts)
    for low in range(0, count, _CHUNK):
        part = np.arange(low, min(count, low + _CHUNK))
        found, entering[part], leaving[part] = segments.features(ideals.members(part))
        for name, values in found.items():
            columns[name][part] = values
    return SetFeatures(
        ideals,
        boundary={name: columns[name] for name in BOUNDARY},
        inside={name: columns[name] for name in names if name not in BOUNDARY},
        per_operator=facts.per_operator(),
        entering=entering,
        leaving=leaving,
    )


def ideal_bytes(graph: Graph, ideals: Ideals) -> tuple[int, ...]:
    """Bytes crossing a cut behind each ideal, for tensors that an operator made."""
    contents = ideals.contents
    total = np.zeros(len(ideals), dtype=np.int64)
    for tensor, maker in zip(graph.tensors, graph.makers, strict=True):
        readers = list(graph.readers[tensor.index])
        if maker is not None and readers:
            crosses = contents[:, maker] & ~contents[:, readers].all(axis=1)
            total += crosses * tensor.size_bytes
    return tuple(int(size) for size in total)


def blockers_of(facts: OperatorFacts) -> list[list[int]]:
    """By operator: those with any of which in its segment it runs on the CPU, behind the TPU.

    An unsupported operator blocks itself and all that need it; one that converts an input of the
    segment blocks nobody, so what counts there is whether its maker is in the segment.
    """
    found: list[int] = []
    for index in range(len(facts.graph)):
        makers = [m for t in facts.reads[index] if (m := facts.graph.makers[t]) is not None]
        blockers = 0
        if index in facts.converters:
            for maker in makers:
                blockers |= 1 << maker
        elif not facts.supported[index]:
            blockers = 1 << index
        else:
            for maker in makers:
                blockers |= found[maker]
        found.append(blockers)
    return [[i for i in range(mask.bit_length()) if mask >> i & 1] for mask in found]


class SetWork:
    """Features of segments given as tables of who is in them (rows: segments)."""

    def __init__(self, facts: OperatorFacts) -> None:
        self._facts = facts
        self._blockers = blockers_of(facts)
        self._supported = np.array(facts.supported)
        self._macs = np.array([float(work.macs) for work in facts.work])
        self._activations = np.array([float(activation_bytes(work)) for work in facts.work])
        self._parameters = np.array([float(work.parameter_bytes) for work in facts.work])
        depthwise = [work.name == "DEPTHWISE_CONV_2D" for work in facts.work]
        self._allocation_order = sorted(
            np.flatnonzero(self._parameters), key=lambda i: (not depthwise[i], -self._parameters[i])
        )

    def features(
        self, members: Mask
    ) -> tuple[dict[str, Array], NDArray[np.int64], NDArray[np.int64]]:
        """The columns of all features, and the largest tensors that go in and out."""
        front = members.copy()
        for index, blockers in enumerate(self._blockers):
            if blockers:
                front[:, index] &= ~members[:, blockers].any(axis=1)
        mapped = front & self._supported
        on_cpu = members & ~mapped
        operators = mapped.sum(axis=1)
        some = operators > 0
        bytes_in, bytes_out, entering, leaving = self._transfers(members, front)
        result = {
            "request": some.astype(np.float64),
            "bytes in": bytes_in * some,
            "bytes out": bytes_out * some,
            "activation bytes": mapped @ self._activations,
            "operators": operators.astype(np.float64),
            "cpu operators": on_cpu.sum(axis=1).astype(np.float64),
            "cpu macs": on_cpu @ self._macs,
            "cpu bytes": on_cpu @ self._activations,
            "off-chip bytes": self.off_chip(mapped, operators),
        }
        for kind in self._facts.kinds:
            of_kind = [f"macs of {work.name}" == kind for work in self._facts.work]
            result[kind] = mapped @ (self._macs * of_kind)
        return result, entering, leaving

    def _transfers(
        self, members: Mask, front: Mask
    ) -> tuple[Array, Array, NDArray[np.int64], NDArray[np.int64]]:
        graph, outputs = self._facts.graph, set(self._facts.graph.outputs)
        sizes = np.zeros((2, len(members)))
        keys = np.full((2, len(members)), -1, dtype=np.int64)
        largest = np.zeros((2, len(members)))

        def add(side: int, tensor: int, crosses: Any) -> None:
            size = float(graph.tensors[tensor].size_bytes)
            sizes[side] += crosses * size
            larger = crosses & (size > largest[side])
            largest[side][larger] = size
            keys[side][larger] = tensor

        for tensor in graph.tensors:
            t, readers = tensor.index, list(graph.readers[tensor.index])
            if not graph.is_activation(t) or not (readers or t in outputs):
                continue
            maker = graph.makers[t]
            if readers:
                taken = front[:, readers].any(axis=1)
                add(0, t, taken if maker is None else taken & ~members[:, maker])
            if maker is not None:
                stays = np.asarray(t not in outputs and front[:, readers].all(axis=1))
                add(1, t, front[:, maker] & ~stays)
        return sizes[0], sizes[1], keys[0], keys[1]

    def off_chip(self, mapped: Mask, operators: NDArray[np.intp]) -> Array:
        """Bytes streamed, by the compiler's rule (:func:`compiler.mapping.allocate`).

        The rule takes layers one by one, so all segments can go through it side by side.
        """
        left = np.maximum(available_for(int(operators.max(initial=0)))[operators], 0.0)
        streamed = np.zeros(len(mapped))
        for index in self._allocation_order:
            size = self._parameters[index]
            fits = mapped[:, index] & (size <= left)
            left -= fits * size
            streamed += (mapped[:, index] & ~fits) * size
        return streamed
