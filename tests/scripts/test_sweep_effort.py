"""What a sweep knows makes no search much longer."""

from __future__ import annotations

import pytest

from compiler import read_graph
from devices.chip import host_of
from partitioner.graphs import OrderChoice
from scripts.benchmarks.search_effort import Asked
from scripts.benchmarks.sweep_effort import Row, markdown, row_of
from scripts.checks.proofs.planned import Chip


@pytest.mark.parametrize("order", ["any", "file"])
def test_what_is_known_helps(order: OrderChoice) -> None:
    """Of a network whose parameters fit no chip alone; into 4, 30 were measured instead of 18."""
    row = row_of(
        "resnet", Asked(read_graph("zoo:resnet50_224"), Chip(host_of("usb3-x86"))), order, 5
    )
    assert max(row.quotients) <= 1.3
    assert sum(row.anew) < 0.9 * sum(row.alone)


def test_table_by_hand() -> None:
    table = markdown([Row("a", "any", (10, 20), (8, 28), 1.0), Row("b", "file", (5,), (5,), 2.0)])
    assert "| a | any | 10 20 | 8 28 | 1.40 | 1 |" in table
    assert "1.00 in the median of 3, at most 1.40; above 1: 1, above 1.3: 1" in table
    assert "in all 35 alone, 41 in sweeps" in table
