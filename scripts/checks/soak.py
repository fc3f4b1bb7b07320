#!/usr/bin/env python3
"""Send many items through a pipeline and watch that nothing grows.

    scripts/checks/soak.py [--items 1000000] [--stages 4] [--exact]

The devices compute only time unless --exact is given.  Memory and open descriptors of the program
and of every device are noted 20 times; after the first tenth, in which allocators settle, memory
may grow by 1 MiB in each process and descriptors not at all.  Prints items per second and one line
per process; exits with 1 if something grew.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import psutil

from compiler import compile_segments, graph_from_bytes
from devices import DevicePool
from pipeline import PipelinedModelRunner
from zoo.builder import GraphBuilder

SAMPLES = 20
SETTLED_AFTER = 0.1
ALLOWED_GROWTH_BYTES = 1 << 20


@dataclass(frozen=True)
class Sample:
    """What one process holds after so many items."""

    items: int
    memory_bytes: int
    descriptors: int


def segments(count: int, folder: Path) -> list[Path]:
    """A little network with a layer for each of ``count`` devices, cut and compiled."""
    graph = GraphBuilder("soak")
    tensor = graph.input("image", (1, 8, 8, 3))
    for layer in range(count):
        tensor = graph.conv(tensor, 8, 3, name=f"layer_{layer}")
    graph.output(tensor)
    model = graph_from_bytes(graph.build(), "soak")
    paths = []
    for number, compiled in enumerate(compile_segments(model, range(1, count))):
        paths.append(folder / f"soak_{number}_edgetpu.tflite")
        paths[-1].write_bytes(compiled.data)
    return paths


def items(count: int) -> Iterator[dict[str, Any]]:
    """As many inputs, always the same array."""
    image = np.zeros((1, 8, 8, 3), np.int8)
    for _ in range(count):
        yield {"image": image}


def watch(runner: PipelinedModelRunner, count: int) -> dict[str, list[Sample]]:
    """Run ``count`` items; gives the samples of each process."""
    watched = {"host": psutil.Process()}
    watched |= {d.name: psutil.Process(d.health().pid) for d in runner.devices}
    samples: dict[str, list[Sample]] = {name: [] for name in watched}
    step = max(1, count // SAMPLES)
    for done, _ in enumerate(runner.run(items(count)), start=1):
        if done % step == 0:
            for name, process in watched.items():
                memory = process.memory_info()
                private = memory.rss - memory.shared
                samples[name].append(Sample(done, private, process.num_fds()))
    return samples


def growth(samples: Sequence[Sample], count: int) -> tuple[int, int]:
    """By how many bytes and descriptors a process has grown since it had settled."""
    settled = [sample for sample in samples if sample.items >= SETTLED_AFTER * count]
    return (
        settled[-1].memory_bytes - settled[0].memory_bytes,
        settled[-1].descriptors - settled[0].descriptors,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--exact", action="store_true", help="compute the numbers, too")
    arguments = parser.parse_args()
    if arguments.items < SAMPLES or arguments.stages < 1:
        parser.error(f"needs at least {SAMPLES} items and one stage")
    compute: Any = "exact" if arguments.exact else "none"
    with tempfile.TemporaryDirectory() as folder:
        paths = segments(arguments.stages, Path(folder))
        with (
            DevicePool.simulated(arguments.stages, compute=compute) as pool,
            PipelinedModelRunner(paths, pool) as runner,
        ):
            began = time.perf_counter()
            samples = watch(runner, arguments.items)
            took_s = time.perf_counter() - began
            print(runner.stats(processes=True).table())
    print(
        f"\n{arguments.items} items through {arguments.stages} stages in {took_s:.1f} s: "
        f"{arguments.items / took_s:.0f} items/s\n"
    )
    grew = False
    for name, of_process in samples.items():
        memory, descriptors = growth(of_process, arguments.items)
        bad = memory > ALLOWED_GROWTH_BYTES or descriptors > 0
        grew |= bad
        print(
            f"{name:>8}: {of_process[-1].memory_bytes / 1e6:7.2f} MB private, "
            f"{memory / 1e3:+9.1f} kB since settled, {of_process[-1].descriptors} descriptors "
            f"({descriptors:+d})" + ("   GROWS" if bad else "")
        )
    return 1 if grew else 0


if __name__ == "__main__":
    sys.exit(main())
