"""The table of how few measurements a search needs, on a model small enough to try everything."""

from __future__ import annotations

from itertools import combinations

from compiler import read_graph
from devices.chip import host_of
from partitioner.problem import ranges_of
from scripts.benchmarks.search_effort import (
    Asked,
    Effort,
    Row,
    beside_bisection,
    report,
    row_of,
    summary,
    unlike,
)
from scripts.checks.proofs.planned import Chip, Planner

MODEL = "zoo:synthetic_conv5x3x3_64x64_F452"


def test_a_row_is_of_the_best_cut() -> None:
    """Planned latencies are those that trying every cut of the chain sees, too."""
    asked = Asked(read_graph(MODEL), Chip(host_of("pcie-x86")))
    row = row_of("five", asked, 3, host_of("pcie-x86"))
    n = row.operators
    every = [max(asked(*r) for r in ranges_of(cuts, n)) for cuts in combinations(range(1, n), 2)]
    for effort in (row.plain, row.suggested):
        assert effort.proven is not None
        assert 3 <= effort.found <= effort.everything
        assert effort.proven <= effort.everything <= n * (n + 1) // 2
    assert row.least in (3, 5)
    assert row.bottleneck_ns == min(every)


def test_summary_of_rows_by_hand() -> None:
    """Two searches of five and seven least ones; bisection measures fewer in the second."""
    suggested = Effort(5, 5, 6, 0.1)
    first = Row("a", 100, 3, Effort(6, 10, 15, 0.1), suggested, 5, 200, 40, 1)
    second = Row("b", 100, 4, Effort(6, None, 14, 0.1), suggested, 7, 26, 8, 1)
    lines = "\n".join(summary([first, second], lambda row: row.plain))
    assert "proven: 1 of 2" in lines
    assert "elsewhere (2): proven / least 2.00 in the median, at most 2.00" in lines
    assert "12 until found, 24 until proven, 29 with gap and bytes" in lines
    lines = "\n".join(beside_bisection([first, second], lambda row: row.plain))
    assert "from 4 segments (1): runs / proven 1.9 in the median, at least 1.9" in lines
    assert "fewer in 1 of 2: b into 4" in lines
    text = report([first, second], [])
    assert "(b) beside (a): proven with fewer measurements in 2 searches, with as many in 0" in text
    assert "| a | 100 | 3 | 6 | 10 | 15 | 5 | 5 | 6 | 5 | 200 | 40 | 0.1 |" in text


def test_devices_unlike_those_of_the_constants() -> None:
    """Three times slower, within the scatter, and at another host."""
    graph = read_graph(MODEL)
    planner, every = Planner(graph), tuple(range(len(graph)))
    plain, other = Chip(host_of("dev-board")), unlike(Planner(graph), host_of("dev-board"))
    part = every[1:2]
    without = [chip.latency_ns(planner, part, transfers=False) for chip in (plain, other)]
    fixed = host_of("dev-board").overhead_ns
    assert 1.5 < (without[1] - fixed) / (without[0] - fixed) < 4.5
