#!/usr/bin/env python3
"""Check that the virtual times of running pipelines equal the pure recurrence, to the nanosecond.

    scripts/checks/check_virtual_time.py [--pipelines 500] [--seed 0] [--busy]

Each pipeline is a random network (branches, skips, late inputs, early outputs) cut at random
places and run by device processes with random queue sizes and arrival times.  The latencies come
from the same chips in this process, with noise from the same seeds; what the recurrence makes of
them must be the entry and exit time of every item and the waiting times of every stage.  With
--busy every core is kept busy meanwhile.  Exits with 1 at the first difference.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from compiler import boundary, compile_segment, graph_from_bytes
from devices import DeviceConfig, DevicePool, Loaded, SimulatedChip
from pipeline import PipelinedModelRunner, StageTensors, plan_routes, simulate
from zoo.random_graph import random_graph

MOST_STAGES = 5
MOST_ITEMS = 40
NOISE = {"clock": "virtual", "compute": "none", "noise_sigma": 0.3, "noise_seed": 7}


def executables(seed: int, choice: random.Random, folder: Path) -> tuple[list[Path], list[str]]:
    """A random network in one to five segments, and the names of its outputs."""
    graph = graph_from_bytes(random_graph(seed), f"random_{seed}")
    count = len(graph.operators)
    while True:
        stages = choice.randint(1, min(MOST_STAGES, count))
        ends = [*sorted(choice.sample(range(1, count), stages - 1)), count]
        bounds = list(zip([0, *ends[:-1]], ends, strict=True))
        edges = [boundary(graph, first, end) for first, end in bounds]
        if all(edge.inputs and edge.outputs for edge in edges):
            break
    paths = []
    for number, (first, end) in enumerate(bounds):
        paths.append(folder / f"{number}_edgetpu.tflite")
        paths[-1].write_bytes(compile_segment(graph, first, end).data)
    return paths, [graph.tensors[index].name for index in graph.outputs]


def latencies(chips: list[SimulatedChip], loaded: list[Loaded], count: int) -> list[list[int]]:
    """What each chip takes for each item: one row per item."""
    rows = []
    inputs = [{t.name: np.zeros(t.shape, t.dtype) for t in one.inputs} for one in loaded]
    for _ in range(count):
        rows.append(
            [
                chip.execute(one.handle, zeros).total_ns
                for chip, one, zeros in zip(chips, loaded, inputs, strict=True)
            ]
        )
    return rows


def check(seed: int, pool: DevicePool, chips: list[SimulatedChip], folder: Path) -> str | None:
    """Run one pipeline; says what differs, if anything does."""
    choice = random.Random(seed)
    paths, outputs = executables(seed, choice, folder)
    count = choice.randint(1, MOST_ITEMS)
    gap_ns = choice.choice([0, 10_000, 1_000_000])
    ready = [choice.randint(0, gap_ns) * item for item in range(count)]
    options: dict[str, Any] = {
        "queue_size": choice.randint(1, 3),
        "input_queue_size": choice.choice([None, 1, 3]),
        "output_queue_size": choice.choice([None, 1, 3]),
    }
    results: list[Any] = []
    with PipelinedModelRunner(paths, pool, outputs=outputs, **options) as runner:
        popping = threading.Thread(
            target=lambda: results.extend(iter(runner.pop_result, None)), name="pop"
        )
        popping.start()
        zeros = {t.name: np.zeros(t.shape, t.dtype) for t in runner.inputs}
        for at in ready:
            runner.push(zeros, ready_ns=at)
        runner.push({})
        popping.join()
    stats = runner.stats()

    used = chips[: len(paths)]
    loaded = [chip.load(path) for chip, path in zip(used, paths, strict=True)]
    plan = plan_routes(
        [StageTensors(one.inputs, one.outputs) for one in loaded],
        queue_size=options["queue_size"],
        outputs=outputs,
    )
    times = simulate(latencies(used, loaded, count), plan.channels, ready_ns=ready)
    for chip, one in zip(used, loaded, strict=True):
        chip.unload(one.handle)

    found: dict[str, Any] = {
        "entry": [result.entry_ns for result in results],
        "exit": [result.exit_ns for result in results],
        "wait_output": [stage.counters.wait_output_ns for stage in stats.stages],
        "wait_input": [stage.counters.wait_input_ns for stage in stats.stages],
        "last_depart": [stage.counters.last_depart_ns for stage in stats.stages],
    }
    idle = times.start_ns[1:] - times.depart_ns[:-1]
    expected = {
        "entry": times.entry_ns.tolist(),
        "exit": times.exit_ns.tolist(),
        "wait_output": (times.depart_ns - times.finish_ns).sum(axis=0).tolist(),
        "wait_input": idle.sum(axis=0).tolist(),
        "last_depart": times.depart_ns[-1].tolist(),
    }
    for name, values in expected.items():
        if found[name] != values:
            return f"pipeline {seed} ({options}): {name} is {found[name]}, expected {values}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipelines", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="number of the first pipeline")
    parser.add_argument("--busy", action="store_true", help="keep every core busy meanwhile")
    arguments = parser.parse_args()
    # Noise is drawn by the device's name, so the same name here makes the same latencies.
    config = DeviceConfig(**NOISE)
    chips = [SimulatedChip(f"usb:{number}", config) for number in range(MOST_STAGES)]
    began = time.perf_counter()
    with ExitStack() as stack:
        if arguments.busy:
            for _ in range(2 * (os.cpu_count() or 1)):
                spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                stack.callback(spinner.wait)
                stack.callback(spinner.kill)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        pool = stack.enter_context(DevicePool([config] * MOST_STAGES))
        for seed in range(arguments.seed, arguments.seed + arguments.pipelines):
            difference = check(seed, pool, chips, Path(folder))
            if difference is not None:
                print(difference)
                return 1
    busy = " with every core busy" if arguments.busy else ""
    print(
        f"{arguments.pipelines} random pipelines{busy}: all virtual times equal the recurrence "
        f"({time.perf_counter() - began:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
