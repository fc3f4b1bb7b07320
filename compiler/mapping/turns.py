"""In which order the chip and the CPU take turns, once it is known what the chip runs.

Turns are numbered: 0 is the CPU's, 1 the chip's first, 2 the CPU's again, and so on::

    0 (CPU) ─► 1 (first part) ─► 2 (CPU) ─► 3 (second part) ─► 4 (CPU)

An operator on the chip takes the earliest turn it can: that of the last operator whose result it
needs, or the chip's next behind it.  So there are as many parts as the way through the graph needs
that changes most often between chip and CPU, and there cannot be fewer.  An operator on the CPU
waits until a part needs its result, or for the last turn.  Nothing needs what is made in a later
turn, so no way leads out of a part and back into it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from compiler.graph import NO_TENSOR, Graph


def take_turns(graph: Graph, operators: Sequence[int], chip: Collection[int]) -> dict[int, int]:
    """The turn of each of the operators, which are in execution order; odd for those on the chip.

    Without any on the chip all have turn 2: behind a part that is empty.
    """
    turns: dict[int, int] = {}
    for i in operators:
        earliest = max((turns[maker] for maker in makers_of(graph, i, turns)), default=0)
        turns[i] = earliest + (earliest % 2 != (i in chip))
    last = max((turns[i] for i in chip), default=1) + 1
    for i in reversed(operators):
        if i not in chip:
            turns[i] = min(
                (turns[reader] & ~1 for reader in _readers(graph, i, turns)), default=last
            )
    return turns


def makers_of(graph: Graph, index: int, inside: Collection[int]) -> Iterator[int]:
    """The operators among ``inside`` whose results an operator reads."""
    for t in graph.operators[index].inputs:
        maker = None if t == NO_TENSOR else graph.makers[t]
        if maker is not None and maker in inside:
            yield maker


def _readers(graph: Graph, index: int, inside: Collection[int]) -> Iterator[int]:
    for t in graph.operators[index].outputs:
        if graph.makers[t] == index:
            yield from (reader for reader in graph.readers[t] if reader in inside)
