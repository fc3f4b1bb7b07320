"""Reports on made-up searches: over one order and over all, over devices alike and unequal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from compiler import graph_from_bytes
from partitioner import STRATEGIES, CostTable, Partition, Problem, SearchOptions
from partitioner.graphs import problem_of
from partitioner.problem import operators_of
from partitioner.reporting import Report, as_json
from partitioner.strategies import Kind, search_assigned
from partitioner.strategies.strategy import ignore_round
from tests.partitioner.branched import all_ideals
from tests.partitioner.synthetic import convolutional
from zoo.random_graph import random_graph

OPTIONS = {
    "diff_threshold_ns": 0,
    "initial_lower_bound_ns": None,
    "initial_upper_bound_ns": None,
    "max_measurements": None,
    "timeout_sec": None,
    "partition_search_step": 1,
    "order": "any",
}


def content_of(
    partition: Partition, problem: Problem, options: Mapping[str, object] = OPTIONS
) -> dict[str, Any]:
    """What would be read from its ``partition.json``."""
    count = len(partition.segments)
    report = Report(
        model="made-up.tflite",
        model_sha256="0" * 64,
        compiler="none",
        devices=({"name": "usb:0", "link": "usb", "host": "pi4-usb3", "spread": 0.35},),
        options=options,
        problem=problem,
        partition=partition,
        trial=None,
        verification="not compared",
        files={f"{index}.tflite": "" for index in range(count)},
        placement=tuple({"device": kind, "kind": kind} for kind in partition.kinds),
    )
    content: dict[str, Any] = json.loads(as_json(report))
    return content


def chain(strategy: str = "optimal", seed: int = 1, segments: int = 3) -> tuple[Any, Problem]:
    """In the order of the file, with features."""
    model = convolutional(10, seed)
    problem = model.problem(segments)
    options = SearchOptions(baseline=True)
    found = STRATEGIES[strategy](problem, CostTable(model.cost), options, ignore_round)
    return content_of(found, problem), problem


def branched(strategy: str = "optimal") -> tuple[Any, Problem]:
    """Two branches, in all orders, without features."""
    before = tuple(map(frozenset, ((), (0,), (1,), (0,), (3,), (2, 4))))
    ideals = all_ideals(tuple(frozenset(entry) for entry in before))
    problem = Problem(6, 3, (2, 4), ideals=ideals, order="all orders", boundaries_alike=True)
    work = (40, 9, 8, 30, 7, 20)

    def cost(*runs: int) -> int:
        pairs = zip(runs[::2], runs[1::2], strict=True)
        return 10 + sum(work[i] for first, end in pairs for i in range(first, end))

    found = STRATEGIES[strategy](
        problem, CostTable(cost), SearchOptions(baseline=True), ignore_round
    )
    return content_of(found, problem), problem


def some_orders() -> tuple[Any, Problem]:
    """More branches than are looked at, with features."""
    graph = graph_from_bytes(random_graph(19, 24), "random")
    problem = problem_of(graph, 3, order="any", most_ideals=40)
    work = np.random.default_rng(1).integers(20_000, 60_000, len(graph))

    def cost(*runs: int) -> int:
        return 90_000 + int(sum(work[operator] for operator in operators_of(runs)))

    options = SearchOptions(baseline=True)
    found = STRATEGIES["optimal"](problem, CostTable(cost), options, ignore_round)
    return content_of(found, problem), problem


def pool() -> tuple[Any, Problem]:
    """Two kinds of devices."""
    model = convolutional(8, 2)
    problem = model.problem(3)
    slow = CostTable(lambda a, b: int(1.3 * model.cost(a, b)))
    kinds = [Kind("usb", 2, slow), Kind("pcie", 2, CostTable(model.cost))]
    return content_of(
        search_assigned(problem, kinds, SearchOptions(baseline=True)), problem
    ), problem


def tiny(random: np.random.Generator) -> tuple[int, int, dict[tuple[int, int], int | None]]:
    """Operators, segments and all latencies of a small chain that meets the assumption.

    In whole microseconds, so that sentences carry them exactly.
    """
    n = int(random.integers(2, 7))
    k = int(random.integers(2, min(n, 4) + 1))
    work, size = random.integers(0, 6, n), random.integers(0, 6, n)
    overhead, capacity, rate = random.integers(1, 7), random.integers(0, 20), random.integers(0, 5)
    costs: dict[tuple[int, int], int | None] = {}
    for a in range(n):
        for b in range(a + 1, n + 1):
            spilled = max(0, int(size[a:b].sum()) - int(capacity))
            costs[a, b] = int(1000 * (overhead + work[a:b].sum() + rate * spilled))
            if random.random() < 0.05:
                costs[a, b] = None
    return n, k, costs
