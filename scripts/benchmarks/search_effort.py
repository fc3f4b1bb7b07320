#!/usr/bin/env python3
"""How few measurements a search needs, beside the fewest possible and beside bisection (markdown).

    python scripts/benchmarks/search_effort.py                       # many of the zoo
    python scripts/benchmarks/search_effort.py zoo:resnet50_224 my.tflite --segments 2 4

What a segment takes is what the compiler plans for it on a simulated device: nothing is compiled,
so hundreds of searches take minutes.

Three searches are compared: (a) begins at the split by parameter count; (b) where the published
constants of these very devices suggest, which also made the latencies, so that the first guess is
better than life allows; (c) is on other devices than the constants are of: at another host
(--other), each operator three times slower and off by 10 % besides, beside (a) on those.

found        segments measured until the cut with the lowest bottleneck was known
proven       until nothing could be faster (bottleneck and bound are equal)
all          in all, the gap and the bytes across cuts included
least        the fewest that a proof needs which rests on measured segments alone: the k segments of
             the cut, one of which is the slowest, and k - 1 others as slow, all disjoint, as k - 1
             cuts cannot break them all; only k where one operator (or operators that no cut may
             part) is alone as slow as that.  What was learnt of rates can stand for some of them
runs         compiler runs of bisection: all segments of a candidate as soon as one of them is new
distinct     different segments that bisection compiles
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler import Graph, read_graph
from compiler.compile import check_quantized
from compiler.mapping import judge
from compiler.options import DEFAULT_RUNTIME_VERSION
from devices.chip import Host, LatencyModel, host_of
from devices.errors import EdgeTpuError
from partitioner.graphs import precedence_of, problem_of, published_rates
from partitioner.problem import (
    NoFeasiblePartition,
    Partition,
    Problem,
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
class Effort:
    """One search: numbers of measured segments (``proven`` is ``None``: not so), CPU seconds."""

    found: int
    proven: int | None
    everything: int
    seconds: float

    @property
    def until_proven(self) -> int:
        """Measurements until nothing could be faster, or until the search gave up."""
        return self.everything if self.proven is None else self.proven


@dataclass(frozen=True)
class Row:
    """A model in so many segments: the search that begins at the split by parameter count, the one
    that begins where constants suggest, the least possible, and bisection."""

    model: str
    operators: int
    segments: int
    plain: Effort
    suggested: Effort
    least: int
    runs: int | None
    distinct: int | None
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


def row_of(model: str, asked: Asked, k: int, host: Host, *, bisecting: bool = True) -> Row:
    """Search from either beginning, and bisect.  ``host``: whose constants suggest one of them.

    Raises ``EdgeTpuError`` where the graph cannot be cut so often.
    """
    graph = asked.planner.graph
    problem = problem_of(graph, k, order="any")
    plain, found = searched(problem, asked, SearchOptions())
    rates = published_rates(graph, host, host.clock_mhz)
    suggested, same = searched(problem, asked, SearchOptions(rates=rates))
    if found.bottleneck_ns != same.bottleneck_ns:
        raise SystemExit(f"{model} into {k}: two searches proved different optima")
    runs, distinct = bisected(asked, k) if bisecting else (None, None)
    return Row(
        model=model,
        operators=len(graph),
        segments=k,
        plain=plain,
        suggested=suggested,
        least=least(asked, found),
        runs=runs,
        distinct=distinct,
        bottleneck_ns=found.bottleneck_ns,
    )


def searched(problem: Problem, asked: Asked, options: SearchOptions) -> tuple[Effort, Partition]:
    """What a search measured, and its answer."""
    told, elsewhere = list[Round](), asked.seconds
    started = time.process_time()
    found = search_optimal(problem, CostTable(asked), options, on_round=told.append)
    seconds = time.process_time() - started - (asked.seconds - elsewhere)
    best = found.bottleneck_ns
    effort = Effort(
        found=next(r.measurements for r in told if r.best_bottleneck_ns == best),
        proven=next((r.measurements for r in told if r.lower_bound_ns >= best), None),
        everything=found.measurements,
        seconds=seconds,
    )
    return effort, found


def unlike(planner: Planner, host: Host) -> Chip:
    """Devices at ``host`` whose operators take three times as long as published, and each 10 %
    more or less (normally distributed, in the logarithm)."""
    model, graph = LatencyModel(host), planner.graph
    supported = (judge(graph, i, DEFAULT_RUNTIME_VERSION).is_mapped for i in range(len(graph)))
    own = [
        model.compute_ns(planner.work(i, "tpu")) if here else model.cpu_ns(planner.work(i, "cpu"))
        for i, here in enumerate(supported)
    ]
    scatter = np.exp(0.1 * np.random.default_rng(len(graph)).standard_normal(len(graph)))
    return Chip(host, 3.0 * np.array(own) * scatter)


def least(asked: Asked, found: Partition) -> int:
    """The fewest measurements that could prove ``found``'s bottleneck by themselves."""
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
        "| model | operators | segments | found (a) | proven (a) | all (a) | found (b) "
        "| proven (b) | all (b) | least | runs | distinct | seconds (b) |",
        "|" + "---|" * 13,
    ]
    for r in rows:
        cells: list[object] = [r.model, r.operators, r.segments]
        for effort in (r.plain, r.suggested):
            cells += [effort.found, effort.proven, effort.everything]
        cells += [r.least, r.runs, r.distinct, f"{r.suggested.seconds:.1f}"]
        lines.append(f"| {' | '.join('-' if cell is None else str(cell) for cell in cells)} |")
    return "\n".join(lines)


def summary(rows: Sequence[Row], which: Callable[[Row], Effort]) -> list[str]:
    """Medians of one of the searches."""
    result = [f"- proven: {sum(which(r).proven is not None for r in rows)} of {len(rows)}"]
    for name, chosen in (
        ("in all", list(rows)),
        ("one operator decides", [r for r in rows if r.least == r.segments]),
        ("elsewhere", [r for r in rows if r.least != r.segments]),
    ):
        if chosen:
            until = [which(r).until_proven for r in chosen]
            ratios = [n / r.least for n, r in zip(until, chosen, strict=True)]
            extra = median(which(r).everything / n for n, r in zip(until, chosen, strict=True))
            few = sum(n <= 2 * r.segments + 2 for n, r in zip(until, chosen, strict=True))
            result.append(
                f"- {name} ({len(chosen)}): proven / least {median(ratios):.2f} in the median, at "
                f"most {max(ratios):.2f}; within 2k + 2: {few}; all / proven {extra:.2f}"
            )
    found, proven = sum(which(r).found for r in rows), sum(which(r).until_proven for r in rows)
    everything, seconds = (
        sum(which(r).everything for r in rows),
        sum(which(r).seconds for r in rows),
    )
    result.append(
        f"- measurements: {found} until found, {proven} until proven, {everything} with gap and "
        f"bytes; {seconds:.0f} seconds of thinking"
    )
    return result


def beside_bisection(rows: Sequence[Row], which: Callable[[Row], Effort]) -> list[str]:
    """How far bisection is behind one of the searches."""
    result = []
    both = [r for r in rows if r.runs is not None]
    for name, chosen in (
        ("from 4 segments", [r for r in both if r.segments >= 4]),
        (
            "from 6 segments, 100 operators and more",
            [r for r in both if r.segments >= 6 and r.operators >= 100],
        ),
    ):
        if chosen:
            runs = [(r.runs or 0) / which(r).until_proven for r in chosen]
            distinct = [(r.distinct or 0) / which(r).until_proven for r in chosen]
            result.append(
                f"- bisection {name} ({len(chosen)}): runs / proven {median(runs):.1f} in the "
                f"median, at least {min(runs):.1f}; distinct / proven {median(distinct):.1f}, at "
                f"least {min(distinct):.1f}; 20 times as many runs in "
                f"{sum(ratio >= 20 for ratio in runs)}"
            )
    more = [r for r in both if which(r).until_proven > (r.distinct or 0)]
    names = ", ".join(f"{r.model} into {r.segments}" for r in more)
    result.append(f"- bisection measures fewer in {len(more)} of {len(both)}: {names or 'none'}")
    return result


def overview(rows: Sequence[Row], others: Sequence[Row]) -> list[str]:
    """The searches side by side."""
    every = [(rows, _plain), (rows, _suggested), (others, _suggested), (others, _plain)]
    lines = ["| | (a) | (b) | (c) | (a) on the devices of (c) |", "|---|---|---|---|---|"]

    def add(name: str, cell: Callable[[Sequence[Row], Callable[[Row], Effort]], str]) -> None:
        lines.append(f"| {name} | {' | '.join(cell(some, which) for some, which in every)} |")

    for k in (None, *sorted({r.segments for r in rows})):
        name = "proven / least, median" if k is None else f"into {k} segments"

        def ratio(some: Sequence[Row], of: Callable[[Row], Effort], k: int | None = k) -> str:
            chosen = [of(r).until_proven / r.least for r in some if k in (None, r.segments)]
            return f"{median(chosen):.2f}" if chosen else "-"

        add(name, ratio)
    add("measured until found", lambda some, of: str(sum(of(r).found for r in some)))
    add("measured until proven", lambda some, of: str(sum(of(r).until_proven for r in some)))
    return lines


def report(rows: Sequence[Row], others: Sequence[Row]) -> str:
    """All there is to say, as markdown; ``others`` are of the devices of (c)."""
    lines = [*overview(rows, others), ""]
    for title, some, which in (
        ("(a) From the split by parameter count", rows, _plain),
        ("(b) From the cut that the constants of these devices suggest", rows, _suggested),
        ("(c) From the cut that constants of other devices suggest", others, _suggested),
        ("(a) on the devices of (c)", others, _plain),
    ):
        if some:
            lines += [f"**{title}**", "", *summary(some, which)]
            lines += [*beside_bisection(some, which), ""] if some is rows else [""]
    for title, some in (("(b) beside (a)", rows), ("(c) beside (a) on its devices", others)):
        if some:
            differences = [r.suggested.until_proven - r.plain.until_proven for r in some]
            lines.append(
                f"- {title}: proven with fewer measurements in {sum(d < 0 for d in differences)} "
                f"searches, with as many in {sum(d == 0 for d in differences)}, with more in "
                f"{sum(d > 0 for d in differences)} (by {max(differences)} at most)"
            )
    return "\n".join([*lines, "", markdown(rows)])


def _plain(row: Row) -> Effort:
    return row.plain


def _suggested(row: Row) -> Effort:
    return row.suggested


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
    parser.add_argument("--other", default="dev-board", help="host of (c) (%(default)s)")
    arguments = parser.parse_args()
    host, other = host_of(arguments.host), host_of(arguments.other)
    rows: list[Row] = []
    others: list[Row] = []
    for model in arguments.models:
        try:
            graph = read_graph(model)
            check_quantized(graph)
            asked = Asked(graph, Chip(host))
            unlike_them = Asked(graph, unlike(asked.planner, other))
            for k in arguments.segments:
                rows.append(row_of(name_of(model), asked, k, host))
                others.append(row_of(name_of(model), unlike_them, k, host, bisecting=False))
                print(rows[-1], others[-1], sep="\n", file=sys.stderr, flush=True)
        except EdgeTpuError as error:
            print(f"left out: {error}", file=sys.stderr)
    print(report(rows, others))
    return 0


if __name__ == "__main__":
    sys.exit(main())
