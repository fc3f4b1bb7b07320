#!/usr/bin/env python3
"""What it means for throughput that what is shared serves the older item first.

    python scripts/checks/sharing/link_disciplines.py [pipelines] [seed]

Random pipelines on one link, simulated tick by tick under three disciplines: the older item first,
as this project has it (and as ``pipeline.simulate_shared``, which is compared), packets of all that
want it in turn, and whoever came first until he is done.  Printed is how much longer than the
shortest possible (the slowest stage alone, or the full link) the time between two results is.
Then the same for a host that serves one stage at a time.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pipeline import Demand, chain, simulate_shared

QUEUE_SIZE = 2
ITEMS = 160
WINDOW = 100
"""Results at the end of which the mean is taken."""

HOST_NS = 250

Stage = tuple[int, int, int]
"""Ticks of sending, on the link, of computing, and of fetching, on the link."""

Choice = Callable[[list[int], int], int]
"""Of the stages that want the link, in the order of their asking, which gets this tick; the second
number is who had the one before."""


def older_first(waiting: list[int], _: int) -> int:
    return max(waiting)  # a later stage has an older item


def in_turn(waiting: list[int], before: int) -> int:
    return min((stage for stage in waiting if stage > before), default=min(waiting))


def first_come(waiting: list[int], _: int) -> int:
    return waiting[0]


def exits_of(stages: list[Stage], choose: Choice) -> list[int]:
    """When the items leave, one after another always being there."""
    count = len(stages)
    work: list[list[list[int]] | None] = [None] * count
    queued, held = [0] * count, [0] * count
    waiting: list[int] = []
    exits: list[int] = []
    now, before = 0, -1
    while len(exits) < ITEMS:
        moved = True
        while moved:
            moved = False
            for stage in reversed(range(count)):
                phases = work[stage]
                if phases is None:
                    if stage == 0 or queued[stage]:
                        queued[stage] -= stage > 0
                        send, compute, fetch = stages[stage]
                        work[stage] = [[send, 1], [compute, 0], [fetch, 1]]
                        moved = True
                    continue
                while phases and phases[0][0] == 0:
                    phases.pop(0)
                if phases or (stage + 1 < count and held[stage + 1] > QUEUE_SIZE):
                    continue
                work[stage], moved = None, True
                held[stage] -= stage > 0
                if stage + 1 == count:
                    exits.append(now)
                else:
                    queued[stage + 1] += 1
                    held[stage + 1] += 1
        wanting = [stage for stage, phases in enumerate(work) if phases and phases[0][1]]
        waiting = [stage for stage in waiting if stage in wanting]
        waiting += [stage for stage in reversed(wanting) if stage not in waiting]
        before = choose(waiting, before) if waiting else -1
        for stage, phases in enumerate(work):
            if phases and (stage == before or not phases[0][1]):
                phases[0][0] -= 1
        now += 1
    return exits


def period_of(exits: list[int]) -> float:
    return (exits[-1] - exits[-1 - WINDOW]) / WINDOW


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    generator = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    rules = {"older first": older_first, "in turn": in_turn, "first come": first_come}
    found: dict[str, list[float]] = {name: [] for name in rules}
    for _ in range(number):
        stages = [
            (generator.randint(5, 30), generator.randint(5, 60), generator.randint(1, 10))
            for _ in range(generator.choice([2, 3, 4]))
        ]
        shortest = max(*map(sum, stages), sum(send + fetch for send, _, fetch in stages))
        for name, rule in rules.items():
            exits = exits_of(stages, rule)
            found[name].append(period_of(exits) / shortest)
            if rule is older_first:
                demands = [Demand(((s, s), (c, 0), (f, f)), 0) for s, c, f in stages]
                times = simulate_shared([demands] * ITEMS, chain(len(stages), QUEUE_SIZE))
                assert times.exit_ns.tolist() == exits, stages
    print("| the link serves | mean | median | p90 | worst |")
    print("|---|---|---|---|---|")
    for name, ratios in found.items():
        print(f"| {name} | {summary(ratios)} |")
    ratios = [host_ratio(generator) for _ in range(10 * number)]
    print("\n| the host serves | mean | median | p90 | worst |\n|---|---|---|---|---|")
    print(f"| older first | {summary(ratios)} |")


def host_ratio(generator: random.Random) -> float:
    """The period of a random pipeline over max(slowest stage, host's part times stages)."""
    count, queue_size = generator.choice([2, 3, 4, 8]), generator.choice([1, 2, 4])
    latencies = [generator.randint(50, 1200) for _ in range(count)]
    demands = [Demand(((latency, 0),), -1, HOST_NS) for latency in latencies]
    exits = simulate_shared([demands] * ITEMS, chain(count, queue_size)).exit_ns.tolist()
    return period_of(exits) / max(*latencies, HOST_NS * count)


def summary(ratios: list[float]) -> str:
    ordered = sorted(ratios)
    p90 = ordered[int(0.9 * len(ordered))]
    return f"{mean(ratios):.2f} | {median(ratios):.2f} | {p90:.2f} | {ordered[-1]:.2f}"


if __name__ == "__main__":
    main()
