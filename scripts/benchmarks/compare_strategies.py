#!/usr/bin/env python3
"""What searching is worth: the strategies side by side on many models (markdown).

    cd scripts/benchmarks
    python compare_strategies.py                                # 4 of the zoo and ../shared/models
    python compare_strategies.py zoo:resnet50_224 my.tflite --segments 2 4 --json rows.json

`optimal` cuts in any order of the operators, from the cut on that published constants suggest, as
the command does, `parameter-count` in the order of Coral's tools, as `edgetpu_compiler
--num_segments`, and `bisection` in the file's.
Every segment is compiled and measured once per model, whichever strategy asks for it first, and
each strategy is told the latency measured then.  What it would have cost it alone is added up
from what compiling and measuring took for the segments it asked for:

compilations   distinct segments compiled, each once (everything remembered)
compiler runs  how often the algorithm itself starts the compiler.  For bisection, as in Google's
               tool: all segments of a candidate as soon as one of them is new.  The others ask for
               each segment once
proven after   distinct segments compiled when the lower bound reached the best bottleneck.
               Compilations behind it make the segments more even, which bisection does not try
time           the strategy's own thinking, and compiling and measuring of its compilations
time as run    the same with its compiler runs

The exit code is 1 if a claim below the table does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler import Graph, read_graph
from compiler.compile import check_quantized
from devices import DevicePool
from devices.device import Device
from devices.errors import EdgeTpuError
from partitioner.graphs import POOL, OrderChoice, problem_of, suggesting_rates
from partitioner.measuring import BuiltInCompiler, DeviceProfiler
from partitioner.problem import Partition, Range, Round, SegmentFacts, ranges_of
from partitioner.strategies import STRATEGIES, LatencyOracle, SearchOptions
from scripts.benchmarks.strategy_claims import COMPARED, Row, claims, table

ROOT = Path(__file__).resolve().parents[2]

ORDERS: dict[str, OrderChoice] = {
    "optimal": "any",
    "parameter-count": "coral",
    "bisection": "file",
}


class Remembered:
    """Measures every segment once, for all strategies, and how long that took."""

    def __init__(self, profiler: LatencyOracle) -> None:
        self.profiler = profiler
        self.latency: dict[Range, int | None] = {}
        self.seconds: dict[Range, float] = {}
        self.spent = 0.0

    def __getitem__(self, segment: Range) -> int | None:
        if segment not in self.latency:
            started = time.perf_counter()
            (self.latency[segment],) = self.profiler.measure([segment])
            self.seconds[segment] = time.perf_counter() - started
            self.spent += self.seconds[segment]
        return self.latency[segment]


class Asking:
    """A latency oracle that counts what one strategy asks of it."""

    parallelism = 1

    def __init__(self, remembered: Remembered) -> None:
        self._remembered = remembered
        self.asked: dict[Range, int | None] = {}

    @property
    def compilations(self) -> int:
        return len(self.asked)

    @property
    def measurements(self) -> int:
        return sum(latency is not None for latency in self.asked.values())

    def measure(self, segments: Sequence[Range]) -> Sequence[int | None]:
        self.asked.update((segment, self._remembered[segment]) for segment in segments)
        return [self.asked[segment] for segment in segments]

    def facts(self, segment: Range) -> SegmentFacts:
        return self._remembered.profiler.facts(segment)


def compare(
    graph: Graph,
    segments: int,
    remembered: Remembered,
    threshold_ns: int,
    rates: Mapping[str, float],
) -> Iterable[Row]:
    """A row for each strategy.  Raises ``EdgeTpuError`` where the graph cannot be cut so often."""
    for name in COMPARED:
        oracle = Asking(remembered)
        told: list[tuple[int, Round]] = []
        elsewhere, started = remembered.spent, time.perf_counter()
        problem = problem_of(graph, segments, order=ORDERS[name])
        found = STRATEGIES[name](
            problem,
            oracle,
            SearchOptions(diff_threshold_ns=threshold_ns, rates=rates),
            counting(told, oracle),
        )
        thinking = time.perf_counter() - started - (remembered.spent - elsewhere)
        yield row_of(graph.stem, found, told, remembered.seconds, thinking)


def counting(told: list[tuple[int, Round]], oracle: Asking) -> Callable[[Round], None]:
    """Notes every round together with the compilations up to then."""

    def note(entry: Round) -> None:
        told.append((oracle.compilations, entry))

    return note


def row_of(
    model: str,
    found: Partition,
    told: Sequence[tuple[int, Round]],
    seconds: dict[Range, float],
    thinking: float,
) -> Row:
    """What a search found and what it cost; ``seconds`` by segment, ``thinking`` beside them."""
    once = sum(seconds[segment] for segment, _ in found.measured)
    as_run = once
    if found.strategy == "bisection":
        operators = found.runs[-1][-1]
        as_run = sum(
            seconds[segment]
            for cuts in (*(entry.cuts for _, entry in told), found.cuts)
            for segment in ranges_of(cuts, operators)
        )
    best = found.bottleneck_ns
    return Row(
        model=model,
        segments=len(found.segments),
        strategy=found.strategy,
        bottleneck_ns=best,
        gap_ns=found.gap_ns,
        optimality_gap=found.optimality_gap,
        compilations=len(found.measured),
        compiler_runs=found.compiler_runs,
        proven_after=next((n for n, entry in told if entry.lower_bound_ns >= best), None),
        measurements=sum(latency is not None for _, latency in found.measured),
        seconds=thinking + once,
        seconds_as_run=thinking + as_run,
        outcome=found.outcome,
    )


ZOO = (
    "zoo:mobilenet_v2_1.0_224",
    "zoo:resnet50_224",
    "zoo:inception_v3_299",
    "zoo:ssd_mobilenet_v2_300",
)


def models_at_hand() -> list[str]:
    """Four of the zoo, and the models lying beside this repository."""
    beside = sorted((ROOT.parent / "shared" / "models").glob("*.tflite"))
    return [*ZOO, *(os.path.relpath(path) for path in beside)]


def rows_of(
    model: str, counts: Sequence[int], devices: Sequence[Device], threshold_ns: int
) -> list[Row]:
    """All rows of a model; tells on the error stream how it goes and what cannot be cut."""
    rows: list[Row] = []
    try:
        graph = read_graph(model)
        check_quantized(graph)
    except EdgeTpuError as error:
        print(f"left out: {error}", file=sys.stderr)
        return []
    # Virtual time repeats to the nanosecond, so one run of a segment is enough.
    remembered = Remembered(DeviceProfiler(BuiltInCompiler(graph), devices, repeats=1))
    rates = suggesting_rates(graph, devices[0], POOL)
    for count in counts:
        started = time.perf_counter()
        try:
            rows += compare(graph, count, remembered, threshold_ns, rates)
        except EdgeTpuError as error:
            print(f"left out: {error}", file=sys.stderr)
        print(
            f"{model}, {count} segments: {time.perf_counter() - started:.1f} s, "
            f"{len(remembered.latency)} of {len(graph) * (len(graph) + 1) // 2} segments known",
            file=sys.stderr,
        )
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=".tflite file or zoo:NAME")
    parser.add_argument("--segments", nargs="+", type=int, default=[2, 3, 4, 6, 8], metavar="N")
    parser.add_argument("--link", choices=["usb", "pcie"], default="usb")
    parser.add_argument(
        "--diff_threshold_ns", type=int, default=0, metavar="NS", help="when to stop (default 0)"
    )
    parser.add_argument(
        "--noise", type=float, default=0.0, metavar="SHARE", help="of a latency (default 0)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, too")
    arguments = parser.parse_args(argv)
    rows: list[Row] = []
    with DevicePool.simulated(1, link=arguments.link, compute="none") as pool:
        for model in arguments.models or models_at_hand():
            rows += rows_of(model, arguments.segments, pool.devices, arguments.diff_threshold_ns)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(f"{table(rows)}\n")
    if not rows:
        print("No model could be cut.", file=sys.stderr)
        return 1
    found = claims(rows, arguments.noise)
    for claim in found:
        print(f"- {claim}")
    gaps = [row.optimality_gap for row in rows if row.strategy == "optimal"]
    known = [gap for gap in gaps if gap is not None]
    worst = f"{100 * max(known):.2f} %" if len(known) == len(gaps) else "unknown for some"
    print(f"- worst optimality gap of optimal: {worst}")
    return 0 if all(claim.holds for claim in found if claim.binding) else 1


if __name__ == "__main__":
    sys.exit(main())
