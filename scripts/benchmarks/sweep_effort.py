#!/usr/bin/env python3
"""How many segments a sweep measures anew for each number of segments, beside that search alone.

    python scripts/benchmarks/sweep_effort.py                       # many of the zoo, both orders
    python scripts/benchmarks/sweep_effort.py zoo:resnet50_224 --most 4 --order file

What is known from fewer segments should never make a search much longer.  What a segment takes is
what the compiler plans for it on a simulated device: nothing is compiled.

alone        measured by a search that knows nothing, for 2, 3, ... segments
in a sweep   measured by the same search in a sweep over 1, 2, ... segments and not before
most         the largest quotient of the two, which should not be far above 1
seconds      of CPU time of the sweep
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler import read_graph
from compiler.compile import check_quantized
from devices.chip import host_of
from devices.errors import EdgeTpuError
from partitioner.graphs import OrderChoice, problem_of
from partitioner.problem import Partition
from partitioner.sizing import Findings, sweep
from partitioner.strategies import CostTable, Kind, search_optimal
from scripts.benchmarks.search_effort import Asked, name_of
from scripts.checks.proofs.planned import Chip

ZOO = (
    "zoo:mobilenet_v2_1.0_224",
    "zoo:mobilenet_edgetpu_1.0_224",
    "zoo:efficientnet_edgetpu_S",
    "zoo:efficientnet_edgetpu_L",
    "zoo:resnet50_224",
    "zoo:resnet50_v2_299",
    "zoo:resnet101_224",
    "zoo:inception_v1_224",
    "zoo:inception_v3_299",
    "zoo:squeezenet_1.0_224",
    "zoo:deeplabv3_mnv2_513",
    "zoo:posenet_353_481",
    "zoo:vgg16_224",
)


@dataclass(frozen=True)
class Row:
    """A sweep in one order: segments measured by number of segments, from 2."""

    model: str
    order: str
    alone: tuple[int, ...]
    anew: tuple[int, ...]
    seconds: float

    @property
    def quotients(self) -> tuple[float, ...]:
        """Those of the sweep for each of those alone."""
        return tuple(new / own for new, own in zip(self.anew, self.alone, strict=True))


def row_of(model: str, asked: Asked, order: OrderChoice, most: int) -> Row:
    """Search every number of segments alone and in a sweep, and hold their answers together.

    Raises ``EdgeTpuError`` where the graph cannot be cut so often, ``AssertionError`` where what
    one of them found is faster than what the other proved.
    """
    graph = asked.planner.graph
    alone: list[int] = []
    own: list[Partition] = []
    for k in range(2, most + 1):
        table = CostTable(asked)
        own.append(search_optimal(problem_of(graph, k, order=order), table))
        alone.append(len(table.asked))
    table, findings, marks = CostTable(asked), Findings(), list[int]()
    elsewhere, started = asked.seconds, time.process_time()
    sweep(
        graph,
        [Kind("", most, table)],
        range(1, most + 1),
        order=order,
        findings=findings,
        on_count=lambda _: marks.append(len(table.asked)),
    )
    seconds = time.process_time() - started - (asked.seconds - elsewhere)
    marks.append(len(table.asked))
    for k, single in enumerate(own, start=2):
        found = findings.found[k,]
        for one, other in ((found, single), (single, found)):
            assert one.lower_bound_ns <= other.bottleneck_ns, (model, order, k)
    anew = tuple(after - before for before, after in pairwise(marks[1:]))
    return Row(model, order, tuple(alone), anew, seconds)


def markdown(rows: Sequence[Row]) -> str:
    """The table and what follows from it."""
    lines = ["| model | order | alone | in a sweep | most | seconds |", "|" + "---|" * 6]
    for row in rows:
        counts = [" ".join(map(str, some)) for some in (row.alone, row.anew)]
        most = f"{max(row.quotients):.2f}"
        lines.append(
            f"| {row.model} | {row.order} | {' | '.join(counts)} | {most} | {row.seconds:.0f} |"
        )
    every = [quotient for row in rows for quotient in row.quotients]
    alone, anew = (
        sum(map(sum, some)) for some in ([r.alone for r in rows], [r.anew for r in rows])
    )
    lines += [
        "",
        f"- in a sweep / alone: {median(every):.2f} in the median of {len(every)}, at most "
        f"{max(every):.2f}; above 1: {sum(q > 1.0 for q in every)}, above 1.3: "
        f"{sum(q > 1.3 for q in every)}",
        f"- in all {alone} alone, {anew} in sweeps",
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the table; tell on the error stream how it goes and what cannot be cut."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=ZOO)
    parser.add_argument("--most", type=int, default=8, help="segments")
    parser.add_argument("--order", nargs="+", choices=["any", "file"], default=["any", "file"])
    parser.add_argument("--host", default="usb3-x86", help="of the devices (%(default)s)")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for model in arguments.models:
        try:
            graph = read_graph(model)
            check_quantized(graph)
            asked = Asked(graph, Chip(host_of(arguments.host)))
            for order in arguments.order:
                rows.append(row_of(name_of(model), asked, order, arguments.most))
                print(rows[-1], file=sys.stderr, flush=True)
        except EdgeTpuError as error:
            print(f"left out: {error}", file=sys.stderr)
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
