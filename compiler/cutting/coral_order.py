"""The order in which Coral's tools go through a graph, along which they cut it.

libcoral sorts operators with a stack: those that wait for nothing are put on it as they lie in the
file, the last one is taken first, and an operator whose last maker was taken goes on top.  One
whose results nobody reads goes to the bottom, so the heads of a detector come last, wherever they
lie in the file.  Cut points of Google's compiler follow this order on branched graphs.
"""

from __future__ import annotations

from collections import deque

from compiler.graph import NO_TENSOR, Graph


def coral_order(graph: Graph) -> tuple[int, ...]:
    """Operator indices, each behind the makers of all it reads."""
    followers: list[list[int]] = [[] for _ in graph.operators]
    missing = [0] * len(graph)
    for operator in graph.operators:
        for t in operator.inputs:
            maker = None if t == NO_TENSOR else graph.makers[t]
            if maker is not None:
                followers[maker].append(operator.index)
                missing[operator.index] += 1
    stack = deque(index for index, count in enumerate(missing) if not count)
    order: list[int] = []
    while stack:
        index = stack.pop()
        order.append(index)
        for follower in followers[index]:
            missing[follower] -= 1
            if not missing[follower]:
                if followers[follower]:
                    stack.append(follower)
                else:
                    stack.appendleft(follower)
    return tuple(order)
