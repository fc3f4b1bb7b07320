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
             and k - 1 others as slow, all disjoint, as k - 1 cuts cannot break them all; only k
             where one operator (or operators that no cut may part) is alone as slow as that
runs         compiler runs of bisection: all segments of a candidate as soon as one of them is new
distinct     different segments that bisection compiles
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
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
    Round,
    operators_of,
)
from partitioner.problem.ranges import runs_of
from partitioner.strategies import CostTable, SearchOptions, bisect, ignore_round, search_optimal
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
    bottleneck_ns: int


class Asked:
    """What segments of ``graph`` take, planned when they are first asked for, and how long that
    took, CPU seconds."""

    def __init__(self, graph: Graph, chip: Chip) -> None:
        self.planner, self.chip = Planner(graph), chip
        self.seconds = 0.0
        self._planned = remembered(self.planner, chip, {})

    def __call__(self, *runs: int) -> int:
        started = time.process_time()
        latency_ns = self._planned(runs)
        self.seconds += time.process_time() - started
        return latency_ns


def row_of(model: str, asked: Asked, k: int) -> Row:
    """Search, and bisect.  Raises ``EdgeTpuError`` where the graph cannot be cut so often."""
    graph, told, elsewhere = asked.planner.graph, list[Round](), asked.seconds
    started = time.process_time()
    problem = problem_of(graph, k, order="any")
    found = search_optimal(problem, CostTable(asked), on_round=told.append)
    seconds = time.process_time() - started - (asked.seconds - elsewhere)
    best = found.bottleneck_ns
    runs, distinct = bisected(asked, k)
    return Row(
        model=model,
        operators=len(graph),
        segments=k,
        found=next(r.measurements for r in told if r.best_bottleneck_ns == best),
        proven=next((r.measurements for r in told if r.lower_bound_ns >= best), None),
        everything=found.measurements,
        least=least(asked, found),
        runs=runs,
        distinct=distinct,
        seconds=seconds,
        bottleneck_ns=best,
    )


def least(asked: Asked, found: Partition) -> int:
    """The fewest measurements from which ``found``'s bottleneck could be proven."""
    k, planner = len(found.runs), asked.planner
    alone = (
        asked.chip.latency_ns(planner, operators_of(runs_of(operators)), transfers=False)
        for operators in precedence_of(planner.graph).units
    )
    return k if any(latency >= found.bottleneck_ns for latency in alone) else 2 * k - 1


def bisected(asked: Asked, k: int) -> tuple[int | None, int | None]:
    """Compiler runs and distinct segments of bisection as Google's tool does it."""
    table, problem = CostTable(asked), problem_of(asked.planner.graph, k)
    try:
        found = bisect(problem, table, SearchOptions(timeout_s=60.0), ignore_round)
    except NoFeasiblePartition:
        return None, None
    return found.compiler_runs, len(table.asked)


def markdown(rows: Sequence[Row]) -> str:
    """The table and what follows from it."""
    lines = [
        "| model | operators | segments | found | proven | all | least | runs | distinct "
        "| seconds |",
        "|" + "---|" * 10,
    ]
    for r in rows:
        cells = [r.model, r.operators, r.segments, r.found, r.proven, r.everything, r.least, r.runs]
        cells += [r.distinct, f"{r.seconds:.1f}"]
        lines.append(f"| {' | '.join('-' if cell is None else str(cell) for cell in cells)} |")
    return "\n".join([*lines, "", *summary(rows)])


def summary(rows: Sequence[Row]) -> list[str]:
    """Medians, and how far bisection is behind."""
    result = [f"- proven: {sum(r.proven is not None for r in rows)} of {len(rows)}"]
    for name, chosen in (
        ("one operator decides", [r for r in rows if r.least == r.segments]),
        ("elsewhere", [r for r in rows if r.least != r.segments]),
        *((f"{k} segments", [r for r in rows if r.segments == k]) for k in counts_in(rows)),
    ):
        if chosen:
            ratios = [until_proven(r) / r.least for r in chosen]
            extra = median(r.everything / until_proven(r) for r in chosen)
            result.append(
                f"- {name} ({len(chosen)}): proven / least {median(ratios):.2f} in the median, at "
                f"most {max(ratios):.2f}; within 2k + 2: "
                f"{sum(until_proven(r) <= 2 * r.segments + 2 for r in chosen)}; all / proven "
                f"{extra:.2f}"
            )
    both = [r for r in rows if r.runs is not None]
    for name, chosen in (
        ("from 4 segments", [r for r in both if r.segments >= 4]),
        (
            "from 6 segments, 100 operators and more",
            [r for r in both if r.segments >= 6 and r.operators >= 100],
        ),
    ):
        if chosen:
            runs = [(r.runs or 0) / until_proven(r) for r in chosen]
            distinct = [(r.distinct or 0) / until_proven(r) for r in chosen]
            result.append(
                f"- bisection {name} ({len(chosen)}): runs / proven {median(runs):.1f} in the "
                f"median, at least {min(runs):.1f}; distinct / proven {median(distinct):.1f}, at "
                f"least {min(distinct):.1f}"
            )
    more = [r for r in both if until_proven(r) > (r.distinct or 0)]
    names = ", ".join(f"{r.model} into {r.segments}" for r in more)
    result.append(f"- bisection measures fewer in {len(more)} of {len(both)}: {names or 'none'}")
    proven, everything = sum(map(until_proven, rows)), sum(r.everything for r in rows)
    result.append(f"- in all {proven} until proven, {everything} with gap and bytes")
    return result


def counts_in(rows: Sequence[Row]) -> list[int]:
    """The numbers of segments asked for."""
    return sorted({r.segments for r in rows})


def until_proven(row: Row) -> int:
    """Measurements until nothing could be faster, or until the search gave up."""
    return row.everything if row.proven is None else row.proven


def name_of(model: str) -> str:
    """A model in a table."""
    return model.removeprefix("zoo:").removesuffix(".tflite").rpartition("/")[2]


def main() -> int:
    """Print the table; tell on the error stream how it goes and what cannot be cut."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=ZOO)
    parser.add_argument("--segments", type=int, nargs="+", default=[2, 3, 4, 6, 8])
    parser.add_argument("--host", default="usb3-x86", help="of the devices (%(default)s)")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for model in arguments.models:
        try:
            graph = read_graph(model)
            check_quantized(graph)
            asked = Asked(graph, Chip(host_of(arguments.host)))
            for k in arguments.segments:
                row = row_of(name_of(model), asked, k)
                print(row, file=sys.stderr, flush=True)
                rows.append(row)
        except EdgeTpuError as error:
            print(f"left out: {error}", file=sys.stderr)
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
