#!/usr/bin/env python3
"""What the runner costs, against what is possible on this machine.

overhead   four stages of 2.0 ms on the realtime clock: the rate reached, of 500 items a second
networks   real networks computed exactly: two stages against one LiteRT interpreter with one and
           with two threads, interleaved, median of several rounds

    python scripts/benchmarks/bench_pipeline.py overhead networks
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler import compile_segments, graph_from_bytes, parameter_count_cuts
from devices import DeviceConfig, DevicePool
from devices.device import Tensor
from partitioner.measuring import input_specs
from pipeline import PipelinedModelRunner
from zoo import build
from zoo.builder import GraphBuilder

STAGES = 4
STAGE_NS = 2_000_000


def relay(stages: int, size_bytes: int) -> bytes:
    """A model of ``stages`` operators, all of whose tensors have ``size_bytes``."""
    graph = GraphBuilder("relay")
    tensor = graph.input("input", (1, 1, size_bytes // 64, 64))
    for index in range(stages):
        tensor = graph.relu(tensor, name=f"relu{index}")
    graph.output(tensor)
    return graph.build()


def write_segments(model: bytes, cuts: Sequence[int], folder: Path) -> list[Path]:
    graph = graph_from_bytes(model, "model")
    paths = []
    for index, segment in enumerate(compile_segments(graph, cuts)):
        paths.append(folder / f"{index}_edgetpu.tflite")
        paths[-1].write_bytes(segment.data)
    return paths


def overhead(folder: Path, size_bytes: int, items: int) -> float:
    """Share of the ideal rate that four realtime stages of 2.0 ms reach."""
    paths = write_segments(relay(STAGES, size_bytes), range(1, STAGES), folder)
    with DevicePool.simulated(1, compute="none") as probe:
        device = probe.devices[0]
        scales = []
        for path in paths:
            loaded = device.load(path)
            inputs = {s.name: np.zeros(s.shape, s.dtype) for s in loaded.inputs}
            device.run(loaded.handle, inputs)
            scales.append(STAGE_NS / device.run(loaded.handle, inputs)[1].total_ns)
    configs = [DeviceConfig(clock="realtime", compute="none", latency_scale=s) for s in scales]
    with DevicePool(configs) as pool, PipelinedModelRunner(paths, pool) as runner:
        (spec,) = runner.inputs
        item = {spec.name: np.ones(spec.shape, spec.dtype)}
        times = []
        for _ in runner.run(item for _ in range(items)):
            times.append(time.monotonic_ns())
    warm = items // 10
    period_ns = (times[-1] - times[warm]) / (len(times) - 1 - warm)
    return STAGE_NS / period_ns


def per_second(run: Callable[[], object], items: int) -> float:
    began = time.perf_counter()
    run()
    return items / (time.perf_counter() - began)


def networks(folder: Path, name: str, items: int, rounds: int) -> dict[str, float]:
    """Items per second of each way to compute a network, median over interleaved rounds."""
    from ai_edge_litert.interpreter import Interpreter

    model = build(name)
    graph = graph_from_bytes(model, name)
    (spec,) = input_specs(graph)
    image: Tensor = np.random.default_rng(0).integers(-128, 128, spec.shape).astype(spec.dtype)

    def interpreter(threads: int) -> Callable[[], object]:
        engine = Interpreter(model_content=model, num_threads=threads)
        engine.allocate_tensors()
        (given,), (taken, *_) = engine.get_input_details(), engine.get_output_details()

        def run() -> None:
            for _ in range(items):
                engine.set_tensor(given["index"], image)
                engine.invoke()
                engine.get_tensor(taken["index"])

        return run

    cuts = balanced_cut(graph, model, image) or parameter_count_cuts(graph, 2)
    paths = write_segments(model, cuts, folder)
    rates: dict[str, list[float]] = {}
    with DevicePool.simulated(2) as pool, PipelinedModelRunner(paths, pool) as runner:
        ways: dict[str, Callable[[], object]] = {
            "1 thread": interpreter(1),
            "2 threads": interpreter(2),
            "2 stages": lambda: list(runner.run({spec.name: image} for _ in range(items))),
        }
        for run in ways.values():
            run()
        for _ in range(rounds):
            for way, run in ways.items():
                rates.setdefault(way, []).append(per_second(run, items))
    return {way: statistics.median(measured) for way, measured in rates.items()}


def balanced_cut(graph: object, model: bytes, image: Tensor) -> tuple[int, ...] | None:
    """The cut whose halves take LiteRT equally long: here the host is what computes."""
    from ai_edge_litert.interpreter import Interpreter

    from compiler import Graph, cut

    assert isinstance(graph, Graph)

    def latency(first: int, end: int) -> float:
        engine = Interpreter(model_content=cut(graph, first, end), num_threads=1)
        engine.allocate_tensors()
        engine.invoke()
        times = []
        for _ in range(3):
            began = time.perf_counter()
            engine.invoke()
            times.append(time.perf_counter() - began)
        return min(times)

    low, high = 1, len(graph) - 1
    while low < high:
        middle = (low + high) // 2
        if latency(0, middle) < latency(middle, len(graph)):
            low = middle + 1
        else:
            high = middle
    return (low,)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="+", choices=("overhead", "networks"))
    parser.add_argument("--items", type=int, default=1000, help="for overhead (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        if "overhead" in arguments.what:
            for size_bytes in (1024, 150 * 1024):
                shares = [
                    overhead(Path(folder), size_bytes, arguments.items)
                    for _ in range(arguments.rounds)
                ]
                print(
                    f"four stages of 2.0 ms, {size_bytes / 1024:.0f} KiB tensors: "
                    f"{100 * statistics.median(shares):.2f} % of the ideal rate "
                    f"({100 * min(shares):.2f} to {100 * max(shares):.2f})"
                )
        if "networks" in arguments.what:
            for name, items in (
                ("mobilenet_v2_1.0_224", 100),
                ("resnet50_224", 40),
                ("inception_v3_299", 20),
            ):
                rates = networks(Path(folder), name, items, arguments.rounds)
                one = rates["1 thread"]
                print(
                    f"{name}: "
                    + ", ".join(f"{w} {r:.1f}/s ({r / one:.2f}x)" for w, r in rates.items())
                )


if __name__ == "__main__":
    main()
