#!/usr/bin/env python3
"""How fast the recurrence is: items per second of CPU, beside one step after another.

    scripts/benchmarks/bench_timeline.py [--items 1000000] [--stages 8]

A line of stages with a queue of two items between them, saturated.  "one after another" asks at
every item how the stages are connected (Recurrence.step), on a tenth of the items; "straight" is
what `simulate` does with times of every item (noise); "constant" is what it does where every item
takes as long as the one before.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from pipeline.timeline import Recurrence, chain, simulate


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--stages", type=int, default=8)
    arguments = parser.parse_args()
    channels = chain(arguments.stages)
    noisy = np.random.default_rng(0).integers(900, 1101, (arguments.items, arguments.stages))

    begin = time.process_time()
    recurrence = Recurrence(arguments.stages, channels)
    rows: list[list[int]] = []
    few = noisy[: arguments.items // 10].tolist()
    for row in few:
        recurrence.step(rows, row, 0)
    stepped = len(few) / (time.process_time() - begin)

    begin = time.process_time()
    times = simulate(noisy, channels)
    straight = arguments.items / (time.process_time() - begin)
    assert times.depart_ns[: len(few)].tolist() == [row[:-1] for row in rows]

    begin = time.process_time()
    simulate([1000] * arguments.stages, channels, items=arguments.items)
    constant = arguments.items / (time.process_time() - begin)

    print(f"{arguments.items:,} items through {arguments.stages} stages")
    for name, rate in (
        ("one after another", stepped),
        ("straight", straight),
        ("constant", constant),
    ):
        print(f"{name:<18}{rate:12,.0f} items/s of CPU {rate / stepped:8.1f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
