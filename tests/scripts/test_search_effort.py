"""The table of how few measurements a search needs, on a model small enough to try everything."""

from __future__ import annotations

from itertools import combinations

from compiler import read_graph
from devices.chip import host_of
from partitioner.problem import ranges_of
from scripts.benchmarks.search_effort import Asked, Row, row_of, summary
from scripts.checks.proofs.planned import Chip

MODEL = "zoo:synthetic_conv5x3x3_64x64_F452"


def test_a_row_is_of_the_best_cut() -> None:
    """Planned latencies are those that trying every cut of the chain sees, too."""
    asked = Asked(read_graph(MODEL), Chip(host_of("pcie-x86")))
    row = row_of("five", asked, 3)
    n = row.operators
    every = [max(asked(*r) for r in ranges_of(cuts, n)) for cuts in combinations(range(1, n), 2)]
    assert row.proven is not None
    assert 3 <= row.found <= row.everything
    assert row.proven <= row.everything <= n * (n + 1) // 2
    assert row.least in (3, 5)
    assert row.bottleneck_ns == min(every)


def test_summary_of_rows_by_hand() -> None:
    """Two searches of five and seven least ones; bisection measures fewer in the second."""
    first = Row("a", 100, 3, 6, 10, 15, 5, 200, 40, 0.1, 1)
    second = Row("b", 100, 4, 6, None, 14, 7, 26, 8, 0.1, 1)
    lines = "\n".join(summary([first, second]))
    assert "proven: 1 of 2" in lines
    assert "elsewhere (2): proven / least 2.00 in the median, at most 2.00" in lines
    assert "from 4 segments (1): runs / proven 1.9 in the median, at least 1.9" in lines
    assert "fewer in 1 of 2: b into 4" in lines
    assert "24 until proven, 29 with gap and bytes" in lines
