#!/usr/bin/env python3
"""Checks the search against trying everything: compiles and measures every segment of a model,
solves for the best cut exactly, and compares it with what the search finds.

    python scripts/checks/check_optimality.py zoo:mobilenet_v2_1.0_224 --segments 2 3 4
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler import Graph, read_graph
from devices import DevicePool
from devices.device import Device
from devices.errors import EdgeTpuError
from partitioner.graphs import problem_of
from partitioner.measuring import BuiltInCompiler, DeviceProfiler
from partitioner.problem import Segments
from partitioner.solving import Offer, least_bottleneck
from partitioner.strategies import SearchOptions, ignore_round, search_optimal


def profiler(graph: Graph, devices: tuple[Device, ...]) -> DeviceProfiler:
    """A profiler that remembers nothing; one run each, since virtual time repeats exactly."""
    return DeviceProfiler(BuiltInCompiler(graph, delegate_search_step=1), devices, repeats=1)


def all_latencies(graph: Graph, devices: tuple[Device, ...]) -> np.ndarray:
    """Nanoseconds of every segment ``[first, end)``, infinite where it does not compile."""
    n = len(graph)
    costs = np.full((n + 1, n + 1), np.inf)
    subject = profiler(graph, devices)
    positions = [p for p in range(n + 1) if p in (0, n) or graph.cuttable(p)]
    for first in positions[:-1]:
        ranges = [(first, end) for end in positions if end > first]
        for segment, latency_ns in zip(ranges, subject.measure(ranges), strict=True):
            if latency_ns is not None:
                costs[segment] = latency_ns
    return costs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite file or zoo:NAME")
    parser.add_argument("--segments", nargs="+", type=int, default=[2, 3, 4, 6, 8], metavar="N")
    parser.add_argument("--devices", type=int, default=2, metavar="N", help="to measure on")
    arguments = parser.parse_args()
    worse = 0
    try:
        with DevicePool.simulated(arguments.devices, compute="none") as pool:
            print("| model | segments | found | exhaustive optimum | segments measured | of |")
            print("|---|---|---|---|---|---|")
            for model in arguments.models:
                graph = read_graph(model)
                started = time.monotonic()
                costs = all_latencies(graph, pool.devices)
                seconds = time.monotonic() - started
                for k in arguments.segments:
                    found = search_optimal(
                        problem_of(graph, k),
                        profiler(graph, pool.devices[:1]),
                        SearchOptions(),
                        ignore_round,
                    )
                    every = Segments.all(len(costs))
                    offer = Offer(every, costs[every.first, every.end], k)
                    best_ns = int(least_bottleneck([offer], k))
                    worse += found.bottleneck_ns > best_ns
                    print(
                        f"| {model} | {k} | {found.bottleneck_ns / 1e6:.3f} ms "
                        f"| {best_ns / 1e6:.3f} ms | {found.measurements} "
                        f"| {int(np.isfinite(costs).sum()):,} |",
                        flush=True,
                    )
                print(f"  {model}: measuring everything took {seconds:.0f} s", file=sys.stderr)
    except EdgeTpuError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{worse} cuts worse than the optimum", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
