#!/usr/bin/env python3
"""Checks the bound over all orders against trying everything, on random graphs.

    python scripts/checks/proofs/all_orders.py --graphs 300
    python scripts/checks/proofs/all_orders.py --models zoo:ssd_mobilenet_v2_300 --segments 2 4

Graphs, chips and pools are those of ``scripts/checks/check_branches.py``.  Their ideals are few,
but taken for too many: the search looks at some orders, and what no cut in any order is below is
worked out by relaxation, from what was measured until the search ended, which for two graphs of
three is early.  What is true is settled by a recursion over all ideals.

``--models`` are cut on a simulated device instead; the bound is shown beside the best cut found,
or of models with few ideals beside the best of all.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from compiler import graph_from_bytes, read_graph
from devices import DevicePool
from partitioner.certificate import claims_of
from partitioner.graphs import precedence_of, problem_of
from partitioner.graphs.planning import MOST_IDEALS
from partitioner.measuring import BuiltInCompiler, DeviceProfiler
from partitioner.problem import Range
from partitioner.strategies import SearchOptions, search_optimal
from scripts.checks.check_branches import best_of_all, chips, set_memory, solved
from scripts.checks.proofs.planned import Planner, remembered
from zoo.random_graph import random_graph


def beside_the_best(models: Sequence[str], segments: Sequence[int]) -> int:
    """A table of cuts found and of what none is below; how many of these bounds are false.

    Where all ideals can be looked at, the best cut is that of all orders, and the bound is from a
    search that takes them for too many.
    """
    print("| model | segments | ideals | best cut | no cut in any order below | above |")
    print("|---|---|---|---|---|---|")
    shares, false = [], 0
    with DevicePool.simulated(1, compute="none") as pool:
        for model in models:
            graph = read_graph(model)
            compiler = BuiltInCompiler(graph, delegate_search_step=1)
            oracle = DeviceProfiler(compiler, pool.devices, repeats=1)
            units = precedence_of(graph)
            ideals = units.ideals(MOST_IDEALS)
            for k in segments:
                most = MOST_IDEALS if ideals is None else len(units.units) + 2
                few = problem_of(graph, k, order="any", most_ideals=most)
                if few.unordered is None:
                    continue
                options = SearchOptions(baseline=True)
                found = search_optimal(few, oracle, options)
                bound = claims_of(found.evidence(), few).lower_bound_all_orders_ns
                best = found.bottleneck_ns
                if ideals is not None:
                    every = problem_of(graph, k, order="any")
                    best = search_optimal(every, oracle, options).bottleneck_ns
                    shares.append(bound / best)
                    false += bound > best
                print(
                    f"| {model.removeprefix('zoo:')} | {k} | "
                    f"{'many' if ideals is None else len(ideals)} | {best / 1e6:.3f} ms | "
                    f"{bound / 1e6:.3f} ms | {100 * (best / max(1, bound) - 1.0):.1f} % |",
                    flush=True,
                )
    if shares:
        print(
            f"of the optimum of all orders: {len(shares)} bounds, {false} false, median "
            f"{100 * median(shares):.1f} %, least {100 * min(shares):.1f} %"
        )
    return false


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graphs", type=int, default=300, metavar="N")
    parser.add_argument("--most-operators", type=int, default=14, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--models", nargs="+", metavar="MODEL", help=".tflite file or zoo:NAME")
    parser.add_argument("--segments", nargs="+", type=int, default=[2, 4, 6], metavar="N")
    arguments = parser.parse_args()
    if arguments.models:
        return 1 if beside_the_best(arguments.models, arguments.segments) else 0
    tally: Counter[str] = Counter()
    shares: dict[str, list[float]] = {"searched to the end": [], "ended early": []}
    seed = arguments.first - 1
    while tally["graphs"] < arguments.graphs:
        seed += 1
        random = np.random.default_rng(seed)
        operators = int(random.integers(4, arguments.most_operators + 1))
        graph = graph_from_bytes(random_graph(seed, operators), f"random {seed}")
        set_memory(seed)
        mixed = seed % 4 == 3
        k = int(random.integers(2, min(5, operators) + 1 - mixed))
        counts = [*(int(random.integers(1, k)) for _ in range(mixed)), k]
        most = len(precedence_of(graph).units) + 1 + int(random.integers(0, 5))
        problem = problem_of(graph, k, order="any", most_ideals=most)
        if problem.unordered is None:
            continue
        planner = Planner(graph)
        stores: list[dict[Range, int]] = [{} for _ in counts]
        latencies = [
            remembered(planner, chip, store)
            for chip, store in zip(chips(graph, seed, len(counts)), stores, strict=True)
        ]
        early = seed % 3 > 0
        budget = int(random.integers(k + 1, 4 * k + 1)) if early else None
        options = SearchOptions(baseline=True, max_measurements=budget)
        found = solved(problem, latencies, counts, options)
        claims = claims_of(found.evidence(), problem)
        truth, _ = best_of_all(graph, k, latencies, counts)
        bound = claims.lower_bound_all_orders_ns
        tally["graphs"] += 1
        tally["mixed pools"] += mixed
        tally["ended early"] += early
        tally["faster in orders not looked at"] += claims.fastest_measured_ns > truth
        tally["bounds that are the optimum"] += bound == truth
        tally["no bound"] += not bound
        tally["false bounds"] += bound > truth
        shares["ended early" if early else "searched to the end"].append(bound / truth)
        if bound > truth:
            print(
                f"seed {seed}: {operators} operators, {k} segments, mixed {mixed}: bound {bound} "
                f"({claims.lower_bound_ns} in {claims.order}), optimum {truth}, {claims.guard}",
                flush=True,
            )
    for name, number in tally.items():
        print(f"{name:32} {number:,}")
    for name, ratios in shares.items():
        if ratios:
            print(
                f"bound, of the optimum: {name}: median {100 * median(ratios):.1f} %, "
                f"least {100 * min(ratios):.1f} %"
            )
    return 1 if tally["false bounds"] else 0


if __name__ == "__main__":
    sys.exit(main())
