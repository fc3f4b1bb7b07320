"""What is known of each operator of a graph by itself, and where it would run behind each place."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np

from compiler.graph import NO_TENSOR, Graph
from compiler.mapping import available_bytes, judge, operator_work
from compiler.options import DEFAULT_RUNTIME_VERSION
from devices.executable import OperatorWork
from partitioner.problem import Array, Index, Mask, Places, Segments


class OperatorFacts:
    """What does not depend on the segment an operator is in; arrays are by operator."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        indices = range(len(graph))
        self.work = [operator_work(graph, i, "tpu") for i in indices]
        self.supported = np.array(
            [judge(graph, i, DEFAULT_RUNTIME_VERSION).is_mapped for i in indices]
        )
        converts = np.array([graph.operators[i].kind == "QUANTIZE" for i in indices])
        self.blocks: Mask = ~self.supported & ~converts
        """Which are unsupported and not there to convert an input of a segment."""
        self.kinds = tuple(sorted({f"macs of {work.name}" for work in self.work if work.macs}))
        self.macs = np.array([float(work.macs) for work in self.work])
        self.activations = np.array([float(activation_bytes(work)) for work in self.work])
        self.parameters = np.array([float(work.parameter_bytes) for work in self.work])
        self.makers = [
            [maker for t in graph.read_by(i) if (maker := graph.makers[t]) is not None]
            for i in indices
        ]
        """The operators that make what it reads."""
        outputs = set(graph.outputs)
        self.makes = [
            [
                t
                for t in graph.operators[i].outputs
                if t != NO_TENSOR and graph.makers[t] == i and (graph.readers[t] or t in outputs)
            ]
            for i in indices
        ]
        """The tensors it makes that somebody wants."""

    def macs_of(self, kind: str) -> Array:
        """The multiply-accumulates of those of a kind."""
        return self.macs * [f"macs of {work.name}" == kind for work in self.work]

    def streamed(self, operators: Index, holds: Callable[[int], Mask]) -> Array:
        """Bytes streamed by segments with so many ``operators`` on the TPU, by the compiler's rule
        (:func:`compiler.mapping.allocate`).  ``holds``: which of them have one of the operators
        there.

        The rule takes layers one by one, so all segments can go through it side by side.
        """
        depthwise = [work.name == "DEPTHWISE_CONV_2D" for work in self.work]
        layers = sorted(
            np.flatnonzero(self.parameters * self.supported).tolist(),
            key=lambda i: (not depthwise[i], -self.parameters[i]),
        )
        left = np.maximum(available_for(len(self.graph))[operators], 0.0)
        result = np.zeros(len(operators))
        for index in layers:
            size, here = self.parameters[index], holds(index)
            fits = here & (size <= left)
            left -= fits * size
            result += (here & ~fits) * size
        return result

    def per_operator(self, mapped: Mask) -> dict[str, Array]:
        """Shares of the features that add up over operators, if the TPU runs those ``mapped``."""
        on_cpu = 1.0 - mapped
        result = {
            "activation bytes": self.activations * mapped,
            "operators": 1.0 * mapped,
            "cpu operators": on_cpu,
            "cpu macs": self.macs * on_cpu,
            "cpu bytes": self.activations * on_cpu,
        }
        for kind in self.kinds:
            result[kind] = self.macs_of(kind) * mapped
        return result

    def clear(self, absent: Mask) -> Mask:
        """Where nothing is left that puts operators (rows) on the CPU, behind the TPU.

        ``absent``: what is not in a segment.  An unsupported operator blocks itself and all that
        need it; one that converts an input of the segment blocks nobody, so what counts there is
        whether its maker is in the segment.
        """
        clear = np.ones_like(absent)
        for index, makers in enumerate(self.makers):
            if self.blocks[index]:
                clear[index] = absent[index]
            else:
                before = clear if self.supported[index] else absent
                clear[index] = before[makers].all(axis=0)
        return clear


class Behind:
    """Where operators run in segments that begin at a place; tables by operator and place."""

    def __init__(self, facts: OperatorFacts, places: Places) -> None:
        self.done: Mask = np.ascontiguousarray(places.contents.T)
        """Whether the operator comes before the place, and so in no segment from there."""
        self.clear = facts.clear(self.done)
        """Whether nothing that puts the operator on the CPU, behind the TPU, is left."""

    @cached_property
    def front(self) -> Mask:
        """Whether the operator is ahead of everything that runs on the CPU behind the TPU."""
        return np.asarray(self.clear & ~self.done)

    def held_by(self, segments: Segments, operator: int) -> Mask:
        """Which of the segments have an operator ahead of everything that runs on the CPU."""
        ahead = self.front[operator][segments.first]
        return np.asarray(self.done[operator][segments.end] & ahead)


@lru_cache(maxsize=8)
def available_for(most: int) -> Array:
    """Bytes of parameter memory left for parameters beside 0 to ``most`` operators."""
    return np.array([float(available_bytes(count)) for count in range(most + 1)])


def activation_bytes(work: OperatorWork) -> int:
    """Bytes that an operator reads and writes at run time."""
    return work.input_bytes + work.output_bytes
