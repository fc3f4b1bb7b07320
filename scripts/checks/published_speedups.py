#!/usr/bin/env python3
"""Speed-ups over one TPU that others published, beside those this project's partitioner finds.

    python scripts/checks/published_speedups.py

Two sources name model, number of TPUs and figure: the thresholds that libcoral's on-device test
holds its partitioner to, and the measurements behind the papers of Villarrubia et al. (five 3 x 3
convolutions on 64 x 64, F filters each; 100 items; four PCIe TPUs; repository
Jorgitou98/EdgeTPU-QuantRL-Evaluation, only rows of which no contradicting copy was found there).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import zoo
from compiler import Graph, graph_from_bytes
from devices import DevicePool
from devices.device import Link
from partitioner import BuiltInCompiler, DeviceProfiler, keep_start, problem_of, search_optimal
from zoo.builder import GraphBuilder
from zoo.layers import Target

LIBCORAL = (("inception_v3_299", 2, 2.0), ("resnet50_224", 3, 6.0))
"""Model, TPUs, least speed-up (libcoral, profiling_based_partitioner_ondevice_test.cc)."""

CONVOLUTIONS = {
    402: (37.755, (50.2742, None, 35.0456), (39.7084, 39.1118, 25.3329)),
    452: (61.607, (58.6338, 51.5323, 42.5696), (45.2782, 44.9487, 30.6562)),
    502: (68.5796, (83.4839, None, 47.3162), (50.3552, 49.9684, 33.7572)),
}
"""By filters: ms per inference on one TPU, on 2, 3, 4 split by the compiler, on 2, 3, 4 split by
profiling; ``None`` where copies of the measurement contradict each other."""


def chain_of_convolutions(filters: int) -> Graph:
    """Five 3 x 3 convolutions in a row."""
    net = GraphBuilder(f"conv5_{filters}")
    x = net.input("input", (1, 64, 64, 3))
    for layer in range(5):
        x = net.conv(x, filters, 3, name=f"conv{layer}", activation="relu", target=Target())
    net.output(x)
    return graph_from_bytes(net.build(), f"conv5_{filters}")


def bottlenecks_ms(
    graph: Graph, counts: Sequence[int], link: Link
) -> tuple[float, list[float], list[float]]:
    """One TPU, then for each count the split by parameter bytes and the best one."""
    with DevicePool.simulated(1, link=link, compute="none") as pool:
        profiler = DeviceProfiler(BuiltInCompiler(graph), pool.devices)
        (whole,) = profiler.measure([(0, len(graph))])
        assert whole is not None
        equal, best = [], []
        for count in counts:
            problem = problem_of(graph, count)
            equal.append(keep_start(problem, profiler).bottleneck_ns / 1e6)
            best.append(search_optimal(problem, profiler).bottleneck_ns / 1e6)
        return whole / 1e6, equal, best


def main() -> None:
    print("| model | TPUs | libcoral's test demands | here, USB | here, PCIe |")
    print("|---|---|---|---|---|")
    links: tuple[Link, ...] = ("usb", "pcie")
    for name, count, demanded in LIBCORAL:
        graph = graph_from_bytes(zoo.build(name), name)
        found = []
        for link in links:
            whole, _, (best,) = bottlenecks_ms(graph, [count], link)
            found.append(f"{whole / best:.2f} x ({whole:.1f} / {best:.2f} ms)")
        print(f"| {name} | {count} | at least {demanded:g} x | {' | '.join(found)} |")
    print()
    print("| filters | TPUs | split | published | here, PCIe |")
    print("|---|---|---|---|---|")
    for filters, (single, by_compiler, by_profiling) in CONVOLUTIONS.items():
        whole, equal, best = bottlenecks_ms(chain_of_convolutions(filters), (2, 3, 4), "pcie")
        print(f"| {filters} | 1 | - | {single:.1f} ms | {whole:.1f} ms |")
        for split, published, ours in (
            ("equal bytes", by_compiler, equal),
            ("profiled", by_profiling, best),
        ):
            for count, theirs, mine in zip((2, 3, 4), published, ours, strict=True):
                if theirs is not None:
                    print(
                        f"| {filters} | {count} | {split} | {theirs:.1f} ms, "
                        f"{single / theirs:.2f} x | {mine:.1f} ms, {whole / mine:.2f} x |"
                    )


if __name__ == "__main__":
    main()
