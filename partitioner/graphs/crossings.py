"""Which tensors go into segments and come out of them, and what crosses cuts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compiler.graph import Graph
from partitioner.graphs.operator_facts import Behind, OperatorFacts
from partitioner.problem import Mask, Places


@dataclass(frozen=True, eq=False)
class Crossing:
    """``tensor`` crosses the boundary of all segments from any of ``starts`` to any of ``ends``.

    Both are masks over places.  No two of a tensor and a side of the boundary speak of the same
    segment.
    """

    tensor: int
    size_bytes: int
    starts: Mask
    ends: Mask


def entering(facts: OperatorFacts, behind: Behind) -> Iterator[Crossing]:
    """What operators ahead of the CPU's read and do not make."""
    graph, done = facts.graph, behind.done
    for tensor in graph.tensors:
        t, readers = tensor.index, list(graph.readers[tensor.index])
        if not readers or not graph.is_activation(t):
            continue
        waiting = behind.front[readers]
        maker = graph.makers[t]
        if maker is not None:
            waiting &= done[maker]
        if len(readers) == 1:
            yield Crossing(t, tensor.size_bytes, waiting[0], done[readers[0]])
            continue
        # Which readers are left to bring it in depends on the place, in not many ways.
        packed = np.packbits(waiting, axis=0)
        _, examples, ways = np.unique(packed, axis=1, return_index=True, return_inverse=True)
        for way, example in enumerate(examples):
            left = [r for r, waits in zip(readers, waiting[:, example], strict=True) if waits]
            if left:
                yield Crossing(t, tensor.size_bytes, ways == way, np.any(done[left], axis=0))


def leaving(facts: OperatorFacts, behind: Behind) -> Iterator[Crossing]:
    """What operators ahead of the CPU's make and not all of whose readers are with them there."""
    graph, done = facts.graph, behind.done
    outputs = set(graph.outputs)
    for maker, makes in enumerate(facts.makes):
        for t in makes:
            size, readers = graph.tensors[t].size_bytes, list(graph.readers[t])
            if t in outputs:
                yield Crossing(t, size, behind.front[maker], done[maker])
                continue
            read = np.all(done[readers], axis=0)
            yield Crossing(t, size, behind.front[maker], done[maker] & ~read)
            on_cpu = behind.front[maker] & ~behind.clear[readers].all(axis=0)
            if on_cpu.any():
                yield Crossing(t, size, on_cpu, read)


def cut_bytes(graph: Graph, places: Places) -> tuple[int, ...]:
    """Bytes crossing a cut at each place, for tensors that an operator made.

    Model inputs read late come from the host wherever the cut is, so they do not count.
    """
    done = np.ascontiguousarray(places.contents.T)
    total = np.zeros(len(places), dtype=np.int64)
    for tensor, maker in zip(graph.tensors, graph.makers, strict=True):
        readers = list(graph.readers[tensor.index])
        if maker is not None and readers:
            total += (done[maker] & ~done[readers].all(axis=0)) * tensor.size_bytes
    return tuple(int(size) for size in total)
