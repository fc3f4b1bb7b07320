#!/usr/bin/env python3
"""Checks the search through branches against trying everything, on random graphs.

    python scripts/checks/check_branches.py --graphs 200

Every set of operators that can be a segment is planned as the compiler does and timed on made-up
chips: some with so little memory that parameters spill, some whose operators cost what a random
number says, some in pools of two or three kinds.  The search only measures, so it must find the
best cut whatever the chip.  What is best is settled by a recursion over ideals that shares no
code with the search, and by the strategy exhaustive.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import compiler.executables
import compiler.mapping.allocation
from compiler import Graph, compile_operators, graph_from_bytes
from devices.chip import Host
from partitioner.graphs import precedence_of, problem_of
from partitioner.graphs.operator_facts import available_for
from partitioner.problem import Partition, Problem, Range, operators_of
from partitioner.strategies import (
    CostTable,
    Kind,
    SearchOptions,
    search_assigned,
    search_optimal,
    try_everything,
)
from partitioner.strategies.strategy import NO_LIMITS
from scripts.checks.proofs.planned import Chip, Latency, Planner, remembered
from zoo.random_graph import random_graph


def chips(graph: Graph, seed: int, count: int) -> list[Chip]:
    """Other chips than ours: links up to three times as slow, operators of random cost."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        slow = random.uniform(0.5, 3.0, 5)
        host = Host(
            "made up",
            "usb",
            overhead_ns=int(60_000 * slow[0]),
            input_ns_per_byte=2.5 * slow[1],
            output_ns_per_byte=9.0 * slow[2],
            stream_bytes_per_ns=0.4 / slow[3],
            upload_bytes_per_ns=0.4 / slow[4],
            cpu_factor=1.0,
        )
        own = random.lognormal(10.0, 1.0, len(graph)) if seed % 2 else None
        found.append(Chip(host, own))
    return found


def set_memory(seed: int) -> None:
    """In every other graph a chip so small that parameters of the random graphs spill."""
    small = seed // 2 % 2 == 1
    size = 1_500 + 700 * (seed % 7) if small else 8 * 2**20
    for module in (compiler.mapping.allocation, compiler.executables):
        vars(module)["PARAMETER_MEMORY_BYTES"] = size
    reserves = {"_SMALL_RESERVE_BYTES": 272_630, "_RESERVE_BYTES": 996_148}
    for name, reserve in reserves.items():
        vars(compiler.mapping.allocation)[name] = reserve >> 10 if small else reserve
    available_for.cache_clear()


def best_of_all(
    graph: Graph, k: int, latencies: list[Latency], counts: list[int]
) -> tuple[int, int]:
    """The lowest bottleneck and then the smallest gap, over all orders, cuts and kinds."""
    ideals = precedence_of(graph).ideals(100_000)
    assert ideals is not None, "the graph is small"
    whole = max(ideals)

    @cache
    def onward(done: int) -> list[tuple[int, Range]]:
        return [(i, _runs(i & ~done)) for i in ideals if i != done and i & done == done]

    def steps(done: int, used: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...], int]]:
        for ideal, runs in onward(done):
            for q, latency in enumerate(latencies):
                if used[q] < counts[q]:
                    yield ideal, tuple(u + (q == p) for p, u in enumerate(used)), latency(runs)

    @cache
    def lowest(done: int, used: tuple[int, ...]) -> float:
        if sum(used) == k:
            return 0.0 if done == whole else np.inf
        if sum(used) == k - 1:
            return min((x for ideal, _, x in steps(done, used) if ideal == whole), default=np.inf)
        return min((max(x, lowest(i, u)) for i, u, x in steps(done, used)), default=np.inf)

    bottleneck = lowest(0, (0,) * len(latencies))

    @cache
    def highest(done: int, used: tuple[int, ...]) -> float:
        if sum(used) == k:
            return np.inf if done == whole else -np.inf
        return max(
            (
                min(x, highest(i, u))
                for i, u, x in steps(done, used)
                if x <= bottleneck and (sum(used) < k - 1 or i == whole)
            ),
            default=-np.inf,
        )

    return int(bottleneck), int(bottleneck - highest(0, (0,) * len(latencies)))


def _runs(operators: int) -> Range:
    inside = [i for i in range(operators.bit_length()) if operators >> i & 1]
    starts = [i for i in inside if i - 1 not in inside]
    ends = [i + 1 for i in inside if i + 1 not in inside]
    return tuple(edge for pair in zip(starts, ends, strict=True) for edge in pair)


def can_run(graph: Graph, partition: Partition) -> bool:
    """Whether every operator comes after the makers of all it reads."""
    order = partition.execution_order or tuple(range(len(graph)))
    place = {operator: i for i, operator in enumerate(order)}
    return len(place) == len(graph) and all(
        place[maker] < place[i]
        for i in range(len(graph))
        for t in graph.read_by(i)
        if (maker := graph.makers[t]) is not None
    )


def table(latency: Latency) -> CostTable:
    return CostTable(lambda *runs: latency(runs))


def solved(
    problem: Problem,
    latencies: list[Latency],
    counts: list[int],
    options: SearchOptions = NO_LIMITS,
) -> Partition:
    """What the search finds, on as many devices of each kind as ``counts`` says."""
    if len(latencies) == 1:
        return search_optimal(problem, table(latencies[0]), options)
    kinds = [
        Kind(str(q), count, table(latency))
        for q, (count, latency) in enumerate(zip(counts, latencies, strict=True))
    ]
    return search_assigned(problem, kinds, options)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graphs", type=int, default=200, metavar="N")
    parser.add_argument("--most-operators", type=int, default=14, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    arguments = parser.parse_args()
    tally: Counter[str] = Counter()
    worst = 0.0
    began = time.monotonic()
    for seed in range(arguments.first, arguments.first + arguments.graphs):
        random = np.random.default_rng(seed)
        operators = int(random.integers(4, arguments.most_operators + 1))
        graph = graph_from_bytes(random_graph(seed, operators), f"random {seed}")
        set_memory(seed)
        mixed = seed % 4 == 3
        k = int(random.integers(2, min(5, operators) + 1 - mixed))
        kinds = (3 if seed % 8 == 7 else 2) if mixed else 1
        counts = [*(int(random.integers(1, k)) for _ in range(kinds - 1)), k]
        problem = problem_of(graph, k, order="any", most_ideals=100_000)
        planner = Planner(graph)
        stores: list[dict[Range, int]] = [{} for _ in counts]
        latencies = [
            remembered(planner, chip, store)
            for chip, store in zip(chips(graph, seed, len(counts)), stores, strict=True)
        ]
        found = solved(problem, latencies, counts)
        in_file = solved(problem_of(graph, k), latencies, counts)
        truth = best_of_all(graph, k, latencies, counts)
        if not mixed:
            every = try_everything(problem, table(latencies[0]))
            tally["exhaustive differs"] += (every.bottleneck_ns, every.gap_ns) != truth
            infos = [compile_operators(graph, operators_of(runs)).info for runs in found.runs]
            tally["spilling in the best cut"] += any(info.off_chip_bytes for info in infos)
        tally["graphs"] += 1
        tally["with branches"] += problem.ideals is not None
        tally["mixed pools"] += mixed
        tally["of three kinds"] += kinds == 3
        tally["random operators"] += seed % 2
        tally["cut in another order"] += found.execution_order is not None
        tally["better than in file order"] += truth[0] < in_file.bottleneck_ns
        tally["segments measured"] += found.measurements
        tally["segments there are"] += sum(map(len, stores))
        slower = found.bottleneck_ns > truth[0]
        tally["slower than the optimum"] += slower
        tally["less even than possible"] += not slower and found.gap_ns > truth[1]
        tally["cannot run"] += not can_run(graph, found)
        tally["false bounds"] += found.lower_bound_ns > truth[0]
        worst = max(worst, found.bottleneck_ns / truth[0] - 1.0)
        if slower:
            print(
                f"seed {seed}: {operators} operators, {k} segments, mixed {mixed}: "
                f"{found.bottleneck_ns} ns for {truth[0]} ns, {found.outcome}, {found.guard}",
                flush=True,
            )
    for name, number in tally.items():
        print(f"{name:28} {number:,}")
    print(f"{'worst, over the optimum':28} {100 * worst:.2f} %")
    print(f"{'seconds':28} {time.monotonic() - began:.0f}")
    failures = sum(
        tally[name]
        for name in ("exhaustive differs", "slower than the optimum", "cannot run", "false bounds")
    )
    print(f"failures={failures}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
