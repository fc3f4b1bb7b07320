"""The fewest bytes that can cross a cut of which only its stage is known.

What has run is an ideal between two others.  Which one makes the fewest bytes cross is a minimum
cut: an operator that has run needs what it needs to have run, and a tensor crosses where its maker
has run and a reader has not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ENDLESS = float("inf")


@dataclass(frozen=True)
class Crossing:
    """A tensor that may cross: its maker (``None``: it has been there from the start), operators
    that read it, and its size in bytes."""

    maker: int | None
    readers: tuple[int, ...]
    size_bytes: int


def fewest_bytes(
    has_run: frozenset[int],
    open_to: frozenset[int],
    needs: Sequence[Iterable[int]],
    tensors: Iterable[Crossing],
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
