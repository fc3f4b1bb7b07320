#!/usr/bin/env python3
"""One pipeline over many simulated Edge TPUs on one machine, twice.

    python scripts/checks/many_devices.py --devices 64 --items 2000

Every device is a process of its own that computes only time (``compute: none``), on the virtual
clock; the network has a layer for each.  Prints how long the devices and the pipeline took to
start, the items per second this machine carried through, and what the modelled pipeline did;
the modelled times of all items must be equal in both runs.  Exits with 1 if they are not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import psutil
from soak import segments

from devices import DevicePool, EdgeTpuError
from pipeline import PipelinedModelRunner


@dataclass(frozen=True)
class Run:
    """Times of the machine in seconds, memory in bytes, and times of the model in nanoseconds."""

    pool_s: float
    runner_s: float
    items_s: float
    close_s: float
    memory_bytes: int
    descriptors: int
    exits_ns: tuple[int, ...]

    @property
    def digest(self) -> str:
        """Of the modelled times of all items."""
        return hashlib.sha256(repr(self.exits_ns).encode()).hexdigest()[:16]


def run(paths: list[Path], items: int) -> Run:
    """Start the devices and the pipeline, send the items, and end."""
    image = np.zeros((1, 8, 8, 3), np.int8)
    moments = [time.perf_counter()]
    with DevicePool.simulated(len(paths), compute="none") as pool:
        moments.append(time.perf_counter())
        with PipelinedModelRunner(paths, pool) as runner:
            moments.append(time.perf_counter())
            exits = []
            for item in range(items + len(paths)):
                if item < items:
                    runner.push({"image": image})
                if item >= len(paths):  # as many are under way as there are stages
                    result = runner.pop_result(60)
                    assert result is not None
                    exits.append(result.exit_ns)
            moments.append(time.perf_counter())
            family = psutil.Process().children(recursive=True)
            memory_bytes = sum(child.memory_full_info().uss for child in family)
            descriptors = len(os.listdir("/proc/self/fd"))
            closing = time.perf_counter()
    return Run(
        pool_s=moments[1] - moments[0],
        runner_s=moments[2] - moments[1],
        items_s=moments[3] - moments[2],
        close_s=time.perf_counter() - closing,
        memory_bytes=memory_bytes,
        descriptors=descriptors,
        exits_ns=tuple(exits),
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=64)
    parser.add_argument("--items", type=int, default=2000)
    arguments = parser.parse_args()
    if arguments.devices < 1 or arguments.items < 2:
        parser.error("needs a device and two items at least")
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with tempfile.TemporaryDirectory() as folder:
        paths = segments(arguments.devices, Path(folder))
        try:
            runs = [run(paths, arguments.items) for _ in range(2)]
        except EdgeTpuError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"{arguments.devices} devices, each a process, on {os.cpu_count()} CPUs:")
    for number, one in enumerate(runs, start=1):
        span_ns = one.exits_ns[-1] - one.exits_ns[0]
        print(
            f"run {number}: devices started in {one.pool_s:.2f} s, pipeline in "
            f"{one.runner_s:.2f} s, closed in {one.close_s:.2f} s; "
            f"{arguments.items / one.items_s:.0f} items/s here; "
            f"{one.memory_bytes / 1e6 / arguments.devices:.1f} MB for each device, "
            f"{one.descriptors} of {limit} descriptors"
        )
        print(
            f"       modelled: first item out after {one.exits_ns[0] / 1e6:.3f} ms, then "
            f"{(arguments.items - 1) * 1e9 / span_ns:.0f} items/s; times {one.digest}"
        )
    same = runs[0].exits_ns == runs[1].exits_ns
    print("modelled times are equal" if same else "MODELLED TIMES DIFFER")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
