#!/usr/bin/env python3
"""How time and memory of a search grow with a model whose measurements scatter (markdown).

    python scripts/benchmarks/search_growth.py --operators 100 300 1000 3000 --segments 16

Chains and branched graphs are made up, and so is what their segments take: a request, compute, and
a scatter of each segment's own that no model of costs can know.
Every case runs in a process of its own, whose memory is counted from before the search.  "within
1 %" is when the best cut was first proven to be that close to the optimum; CPU seconds.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import NormalDist
from zlib import crc32

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from compiler import Graph, graph_from_bytes
from partitioner.graphs import problem_of
from partitioner.problem import Round
from partitioner.problem.ranges import pairs_of
from partitioner.strategies import CostTable, SearchOptions, search_optimal
from zoo.builder import GraphBuilder

_REQUEST_NS = 250_000
_COMPUTE_NS = 24e6


def made_up(operators: int, *, branched: bool, seed: int) -> Graph:
    """Convolutions in a chain, or in blocks of four branches that are added up."""
    choice = random.Random(seed)
    graph = GraphBuilder(f"made_up_{operators}_{branched}_{seed}")
    x = graph.input("image", (1, 8, 8, 16))
    x = graph.conv(x, 16, 1, name="first", activation="relu6")
    index = 1
    while index < operators:
        if branched and operators - index >= 11:
            ends = []
            for branch in range(4):
                y = x
                for step in range(2):
                    name = f"branch_{index}_{branch}_{step}"
                    y = graph.conv(y, 16, choice.choice([1, 3]), name=name)
                ends.append(y)
            while len(ends) > 1:
                ends.append(graph.add(ends.pop(0), ends.pop(0), name=f"sum_{index}_{len(ends)}"))
            (x,) = ends
            index += 11
        else:
            x = graph.conv(x, 16, choice.choice([1, 3]), name=f"conv_{index}", activation="relu6")
            index += 1
    graph.output(x)
    return graph_from_bytes(graph.build(), f"made up of {operators}")


def costs(graph: Graph, scatter: float, seed: int) -> CostTable:
    """What segments take, by their operators: what those have to compute, and a request."""
    draw = np.random.default_rng(seed)
    work = np.array([1.0 + _weights(graph, index) for index in range(len(graph))])
    work *= draw.uniform(0.7, 1.3, len(graph))
    work *= _COMPUTE_NS / work.sum()

    total = np.concatenate([[0.0], np.cumsum(work)]).tolist()
    normal = NormalDist()

    def cost(*runs: int) -> int:
        latency = _REQUEST_NS + sum(total[end] - total[first] for first, end in pairs_of(runs))
        share = (crc32(repr((seed, runs)).encode()) + 0.5) / 2**32
        return int(latency * max(0.5, 1.0 + scatter * normal.inv_cdf(share)))

    return CostTable(cost)


def _weights(graph: Graph, index: int) -> float:
    read = (graph.tensors[t] for t in graph.operators[index].inputs if t >= 0)
    return float(sum(tensor.size_bytes for tensor in read if tensor.data is not None))


def one(operators: int, segments: int, *, branched: bool, scatter: float, limit_s: float) -> str:
    """A row of the table."""
    graph = made_up(operators, branched=branched, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    problem = problem_of(graph, segments, order="any" if branched else "file")
    planned = time.process_time() - started
    close: float | None = None

    def watch(entry: Round) -> None:
        nonlocal close
        best = entry.best_bottleneck_ns
        if close is None and best and entry.lower_bound_ns * 1.01 >= best:
            close = time.process_time() - started

    found = search_optimal(
        problem,
        costs(graph, scatter, 2),
        SearchOptions(timeout_s=limit_s),
        watch,
    )
    total = time.process_time() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    gap = found.optimality_gap
    cells = [
        str(len(graph)),
        "branched" if branched else "chain",
        str(segments),
        f"{found.bottleneck_ns / 1e6:.3f} ms",
        found.outcome,
        "-" if gap is None else f"{100 * gap:.1f} %",
        str(found.measurements),
        f"{planned:.1f} s",
        "-" if close is None else f"{close:.1f} s",
        f"{total:.1f} s",
        f"{grown:.0f} MB",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operators", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--segments", type=int, default=16)
    parser.add_argument("--scatter", type=float, default=0.05, help="of each segment (%(default)s)")
    parser.add_argument("--limit_s", type=float, default=120.0, help="per search (%(default)s)")
    parser.add_argument("--kinds", nargs="+", default=["chain", "branched"])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    limits = {"scatter": options.scatter, "limit_s": options.limit_s}
    if options.one:
        (count,), (kind,) = options.operators, options.kinds
        print(one(count, options.segments, branched=kind == "branched", **limits))
        return 0
    print(
        "| operators | | segments | bottleneck | outcome | above the bound | measured | planning "
        "| within 1 % | in all | memory |\n|" + "---|" * 11
    )
    for kind in options.kinds:
        for count in options.operators:
            command = [sys.executable, __file__, "--one", "--kinds", kind]
            command += ["--operators", str(count), "--segments", str(options.segments)]
            command += [f"--{name}={value}" for name, value in limits.items()]
            subprocess.run(command, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
