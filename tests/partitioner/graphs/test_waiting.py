"""Which segments wait for which, and how long one item takes then."""

from __future__ import annotations

from compiler import graph_from_bytes
from partitioner.graphs import waits_for
from partitioner.sizing.plans import PipelineCost
from tests.tiny import Tiny


def test_branches_wait_for_their_fork_and_a_join_for_both() -> None:
    tiny = Tiny()
    source, fork, left, right, join = (tiny.tensor(name) for name in "sflrj")
    tiny.relu(source, fork)
    tiny.relu(fork, left)
    tiny.relu(fork, right)
    tiny.add(left, right, join)
    graph = graph_from_bytes(tiny.ends([source], [join]).build(), "diamond")
    assert waits_for(graph, [(0, 1), (1, 2), (2, 3), (3, 4)]) == ((), (0,), (0,), (1, 2))
    assert waits_for(graph, [(0, 2), (2, 4)]) == ((), (0,))
    assert waits_for(graph, [(0, 1, 2, 3), (1, 2), (3, 4)]) == ((), (0,), (0, 1))


def test_one_item_takes_the_longest_way() -> None:
    cut = PipelineCost((1, 2, 3), (1, 20, 3, 4), waits_for=((), (0,), (0,), (1, 2)))
    assert cut.latency_ns == 1 + 20 + 4
    assert PipelineCost((1,), (1, 2)).latency_ns == 3
    apart = PipelineCost((1, 2), (5, 2, 3), waits_for=((), (), (1,)))
    assert apart.latency_ns == 5
