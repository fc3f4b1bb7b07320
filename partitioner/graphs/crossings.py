"""Which tensors go into segments and come out of them, and what crosses cuts.

Where only the stage of a cut is known, what has run is an ideal between two others.  Which one
makes the fewest bytes cross is a minimum cut: an operator that has run needs what it needs to have
run, and a tensor crosses where its maker has run and a reader has not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.graph import Graph
from partitioner.graphs.operator_facts import Behind, OperatorFacts
from partitioner.problem import Mask, Places

_ENDLESS = float("inf")


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


@dataclass(frozen=True)
class Wanted:
    """A tensor that may cross: its maker (``None``: it has been there from the start), operators
    that read it, and its size in bytes."""

    maker: int | None
    readers: tuple[int, ...]
    size_bytes: int


def fewest_bytes(
    has_run: frozenset[int],
    open_to: frozenset[int],
    needs: Sequence[Iterable[int]],
    tensors: Iterable[Wanted],
) -> int:
    """The least sum of sizes that cross, whichever of the operators ``open_to`` choice have run.

    ``has_run``: operators that have; all others have not.  ``needs``: by operator those that it
    needs.  A tensor that nobody makes in ``has_run`` or ``open_to`` does not cross.
    """
    number = {operator: at + 2 for at, operator in enumerate(sorted(open_to))}
    network: list[dict[int, float]] = [{} for _ in range(len(number) + 2)]

    def connect(tail: int, head: int, most: float) -> None:
        network[tail][head] = network[tail].get(head, 0.0) + most
        network[head].setdefault(tail, 0.0)

    for operator, node in number.items():
        for needed in needs[operator]:
            if needed in number:
                connect(node, number[needed], _ENDLESS)
    for tensor in tensors:
        made = tensor.maker is None or tensor.maker in has_run
        if not made and tensor.maker not in number:
            continue
        tail = 0 if made else number[tensor.maker or 0]
        heads = {number.get(reader, 1) for reader in tensor.readers if reader not in has_run}
        if len(heads) == 1:
            connect(tail, heads.pop(), float(tensor.size_bytes))
        elif heads:
            node = len(network)
            network.append({})
            connect(tail, node, float(tensor.size_bytes))
            for head in heads:
                connect(node, head, _ENDLESS)
    return round(_largest_flow(network))


def _largest_flow(network: list[dict[int, float]]) -> float:
    """From node 0 to node 1, by shortest ways (Edmonds and Karp); uses the network up."""
    total = 0.0
    while True:
        came_from = {0: 0}
        queue = deque([0])
        while queue and 1 not in came_from:
            node = queue.popleft()
            for onward, most in network[node].items():
                if most > 0.0 and onward not in came_from:
                    came_from[onward] = node
                    queue.append(onward)
        if 1 not in came_from:
            return total
        way = [1]
        while way[-1]:
            way.append(came_from[way[-1]])
        edges = list(zip(way[1:], way[:-1], strict=True))
        amount = min(network[tail][head] for tail, head in edges)
        total += amount
        for tail, head in edges:
            network[tail][head] -= amount
            network[head][tail] += amount
