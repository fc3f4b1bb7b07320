"""A sweep's limits are for all of its searches together."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import graph_from_bytes
from partitioner import CostTable, Partition, SearchOptions
from partitioner.problem import operators_of
from partitioner.sizing.findings import Findings, Usage
from partitioner.sizing.sweep import sweep
from partitioner.strategies import Kind
from zoo.random_graph import random_graph


@pytest.mark.parametrize("most", [1, 8, 14, 20])
def test_measurements_are_counted_over_all_searches(most: int) -> None:
    graph = graph_from_bytes(random_graph(19, 14), "random")
    work = np.random.default_rng(3).integers(20_000, 60_000, len(graph))

    def cost(*runs: int) -> int:
        return 90_000 + int(sum(work[operator] for operator in operators_of(runs)))

    def measured(limit: int | None) -> tuple[int, dict[Usage, Partition]]:
        tables = [CostTable(cost), CostTable(lambda *runs: 2 * cost(*runs))]
        kinds = [Kind("fast", 2, tables[0]), Kind("slow", 2, tables[1])]
        findings = Findings()
        sweep(graph, kinds, range(1, 5), SearchOptions(max_measurements=limit), findings=findings)
        return sum(len(table.asked) for table in tables), findings.found

    without, _ = measured(None)
    taken, found = measured(most)
    # A search begins while something is left, and measures its start on each kind in any case.
    longest = max(map(sum, found))
    assert taken <= most - 1 + 2 * longest < without
