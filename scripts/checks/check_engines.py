#!/usr/bin/env python3
"""Check that experiments give equal figures with devices and by arithmetic, and how fast each is.

    scripts/checks/check_engines.py [--experiments 1000] [--seed 0]

Each experiment is a random network in random segments and copies, with random queues, arrivals,
noise, slow faults, warm-up and repeats, and with heat or with links and hosts that devices share.
It is run with `engine: processes` and with `engine: recurrence`; all figures of all points must be
equal, to the nanosecond.  Exits with 1 at the first difference.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import yaml

from partitioner.experiment import main as throughput_experiment
from zoo.random_graph import random_graph

ENGINES = ("processes", "recurrence")


def description(choice: random.Random, model: Path) -> dict[str, Any]:
    """A random experiment of one point."""
    rate = choice.choice([500, 2000, 5000])
    arrivals: Any = choice.choice(
        [
            "saturated",
            {"kind": "closed", "in_flight": choice.randint(1, 8)},
            {"kind": "rate", "per_s": rate},
            {"kind": "poisson", "per_s": rate},
            {"kind": "bursts", "per_s": rate, "size": choice.randint(1, 8)},
        ]
    )
    inferences, warmup, copies = choice.randint(2, 60), choice.randint(0, 4), choice.randint(1, 3)
    slow = {
        "kind": "slow",
        "at": choice.randint(1, min(20, warmup + -(-inferences // copies))),
        "factor": 3.0,
        "count": choice.choice([1, 4, None]),
    }
    heat = {
        "ambient_c": choice.choice([30, 60]),
        "capacity_j_per_k": 1e-4,
        "poll_s": 0.001,
        "trip_c": [50, 70],
    }
    ageing = {
        "heat": choice.choice([None, None, heat]),
        "clock_changes": choice.choice([[], [{"at_s": 0.004, "clock_mhz": 125}]]),
    }
    sharing = {
        "links": {"hub": {"bytes_per_ns": choice.choice([0.001, 0.05])}},
        "shared_link": choice.choice([None, "hub"]),
        "host_ns_per_stage": choice.choice([0, 0, 30_000, 245_000]),
    }
    return {
        "models": str(model),
        "segments": choice.randint(1, 3),
        "copies": copies,
        "queue_size": choice.randint(1, 3),
        "input_queue_size": choice.choice([None, 1, 3]),
        "output_queue_size": choice.choice([None, 1, 3]),
        "arrivals": arrivals,
        "inferences": inferences,
        "warmup": warmup,
        "repeats": choice.randint(1, 2),
        "seed": choice.randint(0, 4),
        "pool": {
            "noise_sigma": choice.choice([0, 0.1, 0.3]),
            "noise_tail": choice.choice([0, 0.2]),
            "unit_sigma": choice.choice([0, 0.1]),
            "dfu": choice.choice([False, True]),
            "latency_scale": choice.choice([1, 1.7]),
            "faults": choice.choice([[], [slow]]),
            **choice.choice([ageing, sharing]),
        },
    }


def figures(path: Path, engine: str) -> list[dict[str, Any]]:
    """Everything that a run says, without what names the engine."""
    said = io.StringIO()
    output = path.parent / f"{path.stem}-{engine}"
    with contextlib.redirect_stdout(said):
        code = throughput_experiment(
            [str(path), "--quiet", "--json", "--output", str(output), "--set", f"engine={engine}"]
        )
    if code:
        raise SystemExit(f"{path} ended with {code}:\n{path.read_text()}")
    runs: list[dict[str, Any]] = json.loads(said.getvalue())["runs"]
    for run in runs:
        del run["key"], run["config"]["engine"]
    return runs


def main() -> int:
    """Run the check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    choice = random.Random(arguments.seed)
    spent_s = dict.fromkeys(ENGINES, 0.0)
    items = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.experiments):
            model = Path(folder, "net.tflite")
            seed, operators = choice.randrange(10**6), choice.randint(4, 13)
            model.write_bytes(random_graph(seed, operators=operators))
            described = description(choice, model)
            items += described["inferences"] * described["repeats"]
            path = Path(folder, f"{number}.yaml")
            path.write_text(yaml.safe_dump(described))
            found = {}
            for engine in ENGINES:
                begin = time.perf_counter()
                found[engine] = figures(path, engine)
                spent_s[engine] += time.perf_counter() - begin
            if found[ENGINES[0]] != found[ENGINES[1]]:
                print(f"experiment {number} differs:\n{path.read_text()}")
                for one, other in zip(found[ENGINES[0]], found[ENGINES[1]], strict=True):
                    for field in one:
                        if one[field] != other[field]:
                            print(f"{field}: {one[field]} with devices, {other[field]} without")
                return 1
            if sys.stderr.isatty():
                print(f"\r{number + 1} of {arguments.experiments}", end="", file=sys.stderr)
    print(f"{arguments.experiments} experiments, {items} items: all figures equal")
    for engine, seconds in spent_s.items():
        print(f"{engine:<11}{seconds:8.1f} s, {arguments.experiments / seconds:6.1f} experiments/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
