#!/usr/bin/env python3
"""How few measurements a search needs, beside the fewest possible and beside bisection (markdown).

    python scripts/benchmarks/search_effort.py                       # many of the zoo
    python scripts/benchmarks/search_effort.py zoo:resnet50_224 my.tflite --segments 2 4

What a segment takes is what the compiler plans for it on a simulated device: nothing is compiled,
so hundreds of searches take minutes.

found        segments measured until the cut with the lowest bottleneck was known
proven       until nothing could be faster (bottleneck and bound are equal)
all          in all, the gap and the bytes across cuts included
least        the fewest that a proof needs: the k segments of the cut, one of which is the slowest,
             and others as slow in so many disjoint places that k - 1 cuts cannot break them all;
             one operator (or operators that no cut may part) alone as slow as that is broken by none
runs         compiler runs of bisection: all segments of a candidate as soon as one of them is new
distinct     different segments that bisection compiles
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler import Graph, read_graph
from compiler.compile import check_quantized
from devices.chip import host_of
from devices.errors import EdgeTpuError
from partitioner.graphs import precedence_of, problem_of
from partitioner.problem import (
    NoFeasiblePartition,
    Partition,
    Range,
    Round,
    operators_of,
)
from partitioner.strategies import CostTable, SearchOptions, bisect, ignore_round, search_optimal
from partitioner.problem.ranges import runs_of
from scripts.checks.proofs.planned import Chip, Planner, remembered

ZOO = (
    "zoo:mobilenet_v1_1.0_224",
    "zoo:mobilenet_v2_1.0_224",
    "zoo:resnet50_224",
    "zoo:inception_v3_299",
    "zoo:ssd_mobilenet_v2_300",
)


@dataclass(frozen=True)
class Row:
    """One search: numbers of measured segments (``None``: not so)."""

    model: str
    operators: int
    segments: int
    found: int
    proven: int | None
    everything: int
    least: int
    runs: int | None
    distinct: int | None
    seconds: float
    outcome: str
    above: float | None


def row_of(model: str, graph: Graph, k: int, chip: Chip) -> Row:
    """Search, and bisect.  Raises ``EdgeTpuError`` where ``graph`` cannot be cut so often."""
    planner = Planner(graph)
    latency = remembered(planner, chip, {})
    told: list[Round] = []
    started = time.process_time()
    problem = problem_of(graph, k, order="any")
    found = search_optimal(problem, CostTable(lambda *runs: latency(runs)), on_round=told.append)
    seconds = time.process_time() - started
    best = found.bottleneck_ns
    runs, distinct = bisected(graph, k, latency)
    return Row(
        model=model,
        operators=len(graph),
        segments=k,
        found=next(r.measurements for r in told if r.best_bottleneck_ns == best),
        proven=next((r.measurements for r in told if r.lower_bound_ns >= best), None),
        everything=found.measurements,
        least=least(planner, chip, found),
        runs=runs,
        distinct=distinct,
        seconds=seconds,
        outcome=found.outcome,
        above=found.optimality_gap,
    )


def least(planner: Planner, chip: Chip, found: Partition) -> int:
    """The fewest measurements from which ``found``'s bottleneck could be proven."""
    k = len(found.runs)
    alone = (
        chip.latency_ns(planner, operators_of(runs_of(operators)), transfers=False)
        for operators in precedence_of(planner.graph).units
    )
    return k if any(latency >= found.bottleneck_ns for latency in alone) else 2 * k - 1


def bisected(
    graph: Graph, k: int, latency: Callable[[Range], int]
) -> tuple[int | None, int | None]:
    """Compiler runs and distinct segments of bisection as Google's tool does it."""
    table = CostTable(lambda *runs: latency(runs))
    try:
        found = bisect(problem_of(graph, k), table, SearchOptions(timeout_s=60.0), ignore_round)
    except NoFeasiblePartition:
        return None, None
    return found.compiler_runs, len(table.asked)


def markdown(rows: Sequence[Row]) -> str:
    """The table and what follows from it."""
    lines = [
        "| model | operators | segments | found | proven | all | least | bisection: runs "
        "| distinct | seconds |",
        "|" + "---|" * 10,
    ]
    for r in rows:
        proven = "-" if r.proven is None else str(r.proven)
        lines.append(
            f"| {r.model} | {r.operators} | {r.segments} | {r.found} | {proven} | {r.everything} "
            f"| {r.least} | {r.runs} | {r.distinct} | {r.seconds:.1f} |"
        )
    return "\n".join([*lines, "", *summary(rows)])


def summary(rows: Sequence[Row]) -> list[str]:
    """Medians, and how often the aims are met."""
    result = []
    proven = [r for r in rows if r.proven is not None]
    result.append(f"proven: {len(proven)} of {len(rows)}")
    for name, chosen in (
        ("one operator decides", [r for r in proven if r.least == r.segments]),
        ("elsewhere", [r for r in proven if r.least != r.segments]),
    ):
        if chosen:
            ratio = [(r.proven or 0) / r.least for r in chosen]
            extra = [(r.proven or 0) - 2 * r.segments - 2 for r in chosen]
            result.append(
                f"{name}: {len(chosen)}; proven / least median {median(ratio):.2f}, "
                f"worst {max(ratio):.2f}; within 2k + 2: {sum(e <= 0 for e in extra)}; "
                f"measured in all / proven median "
                f"{median(r.everything / (r.proven or 1) for r in chosen):.2f}"
            )
    both = [r for r in rows if r.runs and r.distinct]
    for name, chosen in (
        ("4 segments on", [r for r in both if r.segments >= 4]),
        (
            "6 segments on, 100 operators and more",
            [r for r in both if r.segments >= 6 and r.operators >= 100],
        ),
    ):
        if chosen:
            result.append(
                f"{name}: bisection's runs / proven median "
                f"{median((r.runs or 0) / (r.proven or r.everything) for r in chosen):.1f}, least "
                f"{min((r.runs or 0) / (r.proven or r.everything) for r in chosen):.1f}; "
                f"distinct / proven median "
                f"{median((r.distinct or 0) / (r.proven or r.everything) for r in chosen):.1f}, least "
                f"{min((r.distinct or 0) / (r.proven or r.everything) for r in chosen):.1f}"
            )
    more = [r for r in both if (r.proven or r.everything) > (r.distinct or 0)]
    result.append(f"more than bisection's distinct segments: {len(more)} of {len(both)}")
    result += [f"  {r.model} {r.segments}: {r.proven} > {r.distinct}" for r in more]
    total = sum(r.proven or r.everything for r in rows), sum(r.everything for r in rows)
    result.append(
        f"sum of proven {total[0]}, of all {total[1]}, seconds {sum(r.seconds for r in rows):.0f}"
    )
    return result


def name_of(model: str) -> str:
    """A model in a table."""
    return model.removeprefix("zoo:").removesuffix(".tflite").rpartition("/")[2]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=ZOO)
    parser.add_argument("--segments", type=int, nargs="+", default=[2, 3, 4, 6, 8])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--host", default="usb3-x86")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for model in arguments.models:
        try:
            graph = read_graph(model)
            check_quantized(graph)
        except EdgeTpuError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        for k in arguments.segments:
            try:
                row = row_of(name_of(model), graph, k, Chip(host_of(arguments.host)))
            except EdgeTpuError as error:
                print(f"left out: {error}", file=sys.stderr)
                continue
            print(row, file=sys.stderr)
            rows.append(row)
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
