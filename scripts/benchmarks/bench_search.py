#!/usr/bin/env python3
"""How long the search takes on long chains, measured on one simulated device (markdown).

    python scripts/benchmarks/bench_search.py --operators 300 1000 3000 --segments 4 16

The chains are made up: convolutions and depthwise convolutions of random sizes.  "planning" is
finding out what segments have to do without compiling them, "measuring" is compiling and running,
"thinking" is the search itself; CPU is that of this process, without the device's.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler import Graph, graph_from_bytes
from devices import DevicePool
from partitioner.graphs import problem_of
from partitioner.measuring import BuiltInCompiler, DeviceProfiler
from partitioner.problem import Range
from partitioner.strategies import Recorder, SearchOptions, search_optimal
from zoo.builder import GraphBuilder


def chain(operators: int, seed: int) -> Graph:
    """A chain whose later layers are wider."""
    choice = random.Random(seed)
    graph = GraphBuilder(f"chain_{operators}_{seed}")
    x = graph.input("image", (1, 8, 8, 16))
    for index in range(operators):
        widest = 32 if index < operators // 2 else 192
        if choice.random() < 0.4:
            x = graph.depthwise(x, 3, name=f"depthwise_{index}", activation="relu6")
        else:
            channels = choice.choice([c for c in (16, 24, 32, 64, 96, 128, 192) if c <= widest])
            x = graph.conv(x, channels, 1, name=f"conv_{index}", activation="relu6")
    graph.output(x)
    return graph_from_bytes(graph.build(), f"chain of {operators}")


class Timed(Recorder):
    """Counts the seconds spent measuring."""

    seconds = 0.0

    def measure(self, segments: Sequence[Range]) -> Sequence[int | None]:
        started = time.monotonic()
        try:
            return super().measure(segments)
        finally:
            self.seconds += time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operators", nargs="+", type=int, default=[300, 1000, 3000], metavar="N")
    parser.add_argument("--segments", nargs="+", type=int, default=[4, 16], metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        "| operators | segments | bottleneck | lower bound | measured | of | planning | measuring "
        "| thinking | total | CPU |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    with DevicePool.simulated(1, compute="none") as pool:
        for operators in arguments.operators:
            graph = chain(operators, arguments.seed)
            for segments in arguments.segments:
                started, processor = time.monotonic(), time.process_time()
                problem = problem_of(graph, segments)
                planning = time.monotonic() - started
                compiler = BuiltInCompiler(graph)
                oracle = Timed(DeviceProfiler(compiler, pool.devices, repeats=1))
                result = search_optimal(problem, oracle, SearchOptions())
                total = time.monotonic() - started
                print(
                    f"| {operators:,} | {segments} | {result.bottleneck_ns / 1e6:.3f} ms "
                    f"| {result.lower_bound_ns / 1e6:.3f} ms | {result.measurements} "
                    f"| {operators * (operators + 1) // 2:,} | {planning:.1f} s "
                    f"| {oracle.seconds:.1f} s | {total - planning - oracle.seconds:.1f} s "
                    f"| {total:.1f} s | {time.process_time() - processor:.1f} s |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
