#!/usr/bin/env python3
"""Pipelines of two, three and four Edge TPUs that others measured, beside what is modelled.

    python scripts/checks/sharing/published_pipelines.py                        # print the table
    python scripts/checks/sharing/published_pipelines.py --write docs/device-model.md

``published_pipelines.csv`` holds what is behind the papers of Villarrubia et al.: chains of five
convolutions and of five dense layers on PCIe cards of one PC, driven from Python (repository
Jorgitou98/EdgeTPU-QuantRL-Evaluation at ecd386c, without rows that a second copy there
contradicts).  Its logs say how many parameters each segment held and streamed, from which follows
the cut; the segments are compiled by this project's compiler.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from math import ceil
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import zoo
from compiler import Graph, graph_from_bytes
from compiler.accuracy.__main__ import filled
from compiler.compile import compile_segment
from devices.chip import HOSTS, LatencyModel
from devices.executable import Part, executable_from_bytes
from devices.files import write_together
from pipeline import Demand, chain, simulate_shared

HOST = HOSTS["pcie-x86"]
QUEUE_SIZE = 1
"""Coral's."""

HOST_NS = 245_000
"""Of Python's one lock, for each stage of an item: estimated from the dense pipelines below."""

MIB = 2**20


@dataclass(frozen=True)
class Published:
    """A row: milliseconds per item of a batch, and MiB of parameters that each segment holds and
    streams."""

    network: str
    tpus: int
    split: str
    batch: int
    ms: float
    on_chip_mib: tuple[float, ...]
    off_chip_mib: tuple[float, ...]

    @property
    def kind(self) -> str:
        return "convolutions" if "conv" in self.network else "dense layers"

    @property
    def contradicts_itself(self) -> bool:
        """Whether it took less than two thirds of what streaming takes that its own log names."""
        streaming_ms = max(self.off_chip_mib) * MIB / HOST.stream_bytes_per_ns / 1e6
        return self.ms < streaming_ms * 2 / 3


def published() -> list[Published]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8") as file:
        return [
            Published(
                row["network"],
                int(row["tpus"]),
                row["split"],
                int(row["batch"]),
                float(row["ms"]),
                tuple(map(float, row["on_chip_mib"].split())),
                tuple(map(float, row["off_chip_mib"].split())),
            )
            for row in csv.DictReader(file)
        ]


@cache
def graph_of(network: str) -> Graph:
    return graph_from_bytes(zoo.build(network, weights="zeros"), network)


@cache
def layers_mib(network: str) -> tuple[float, ...]:
    """Parameters of each layer as the published logs count them: padded to 64 output channels."""
    if "fc" in network:
        width = int(network.rpartition("_N")[2])
        ends = [64, *[width] * 4, 10]
        return tuple(a * ceil(b / 64) * 64 / MIB for a, b in pairwise(ends))
    filters = int(network.rpartition("_F")[2])
    padded = ceil(filters / 64) * 64
    inputs = [4, *[ceil(filters / 4) * 4] * 4]
    return tuple((9 * channels * padded + 8 * padded) / MIB for channels in inputs)


def cut_of(row: Published) -> tuple[int, ...]:
    """The ends of the segments whose sizes fit best what the logs say."""
    sizes = layers_mib(row.network)
    wanted = [a + b for a, b in zip(row.on_chip_mib, row.off_chip_mib, strict=True)]

    def off_by(cuts: Sequence[int]) -> float:
        ends = (0, *cuts, len(sizes))
        found = [sum(sizes[a:b]) for a, b in pairwise(ends)]
        return sum(abs(a - b) for a, b in zip(found, wanted, strict=True))

    return min(combinations(range(1, len(sizes)), row.tpus - 1), key=off_by)


@cache
def part_of(network: str, first: int, end: int) -> Part:
    data = compile_segment(graph_of(network), first, end).data
    (part,) = executable_from_bytes(data, Path(network)).parts
    return part


def stage_ns(network: str, first: int, end: int) -> int:
    """The latency of a segment of these layers."""
    part = part_of(network, first, end)
    sent = sum(spec.size_bytes for spec in part.inputs)
    fetched = sum(spec.size_bytes for spec in part.outputs)
    return LatencyModel(HOST).timing(part.info, sent, fetched, cold=False).total_ns


def modelled_ms(row: Published, latencies_ns: Sequence[int], host_ns: int) -> float:
    """Milliseconds per item of the batch, from the first item's entry to the last one's exit."""
    demands = [Demand(((latency, 0),), -1, host_ns) for latency in latencies_ns]
    times = simulate_shared([demands] * row.batch, chain(row.tpus, QUEUE_SIZE))
    return float(times.exit_ns[-1]) / row.batch / 1e6


Modelled = tuple[Published, float, float]
"""A row, and what is modelled without and with the host's part, in ms."""


def modelled(rows: Iterable[Published]) -> list[Modelled]:
    """Every row with its two figures."""
    found = []
    for row in rows:
        ends = (0, *cut_of(row), len(layers_mib(row.network)))
        latencies = [stage_ns(row.network, first, end) for first, end in pairwise(ends)]
        found.append((row, modelled_ms(row, latencies, 0), modelled_ms(row, latencies, HOST_NS)))
    return found


def examples(found: Sequence[Modelled]) -> str:
    """Four sizes of each kind of chain, evenly spaced: measured, modelled, and with the host."""
    lines = [
        "| chain | TPUs | measured | modelled | with `host_ns_per_stage` |",
        "|---|---|---|---|---|",
    ]
    for kind in ("convolutions", "dense layers"):
        of_network: dict[str, dict[int, Modelled]] = {}
        for one in found:
            row = one[0]
            if (row.kind, row.split) == (kind, "profiled") and not row.contradicts_itself:
                of_network.setdefault(row.network, {})[row.tpus] = one
        whole = [network for network, rows in of_network.items() if sorted(rows) == [2, 3, 4]]
        whole.sort(key=layers_mib)
        for network in (whole[round(part * (len(whole) - 1) / 3)] for part in range(4)):
            for tpus, (row, alone, hosted) in sorted(of_network[network].items()):
                lines.append(
                    f"| {network} | {tpus} | {row.ms:.2f} ms | {alone:.2f} ms | {hosted:.2f} ms |"
                )
    return "\n".join(lines)


def table(found: Sequence[Modelled]) -> str:
    """Errors by kind of chain, length of the batch and number of TPUs."""
    lines = [
        "| chains of five | items | TPUs | rows | median | p90 | worst | bias "
        f"| `host_ns_per_stage: {HOST_NS}`: median | p90 | worst | bias |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, int, int], list[tuple[float, float]]] = {}
    for row, alone, hosted in found:
        groups.setdefault((row.kind, row.batch, row.tpus), []).append(
            (alone / row.ms - 1, hosted / row.ms - 1)
        )
    for (kind, batch, tpus), errors in sorted(groups.items()):
        alone_errors, hosted_errors = zip(*errors, strict=True)
        lines.append(
            f"| {kind} | {batch} | {tpus} | {len(errors)} | {summary(alone_errors)} "
            f"| {summary(hosted_errors)} |"
        )
    wrong = [abs(ms / row.ms - 1) for row, _, ms in found if row.contradicts_itself]
    rest = [abs(ms / row.ms - 1) for row, _, ms in found if not row.contradicts_itself]
    lines += [
        "",
        f"{len(wrong)} of the {len(found)} rows took less than two thirds of the time in which the "
        "parameters that their own logs say they stream cross the link; they are in the table, and "
        f"off by {min(wrong):.0%} or more. Of all others the worst is "
        f"{max(rest):.0%}.",
    ]
    return "\n".join(lines)


def summary(errors: Sequence[float]) -> str:
    sizes = sorted(abs(error) for error in errors)
    p90 = sizes[ceil(0.9 * len(sizes)) - 1]
    return f"{median(sizes):.0%} | {p90:.0%} | {sizes[-1]:.0%} | {median(errors):+.0%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="a page with <!-- pipelines --> to <!-- end -->")
    parser.add_argument("--rows", action="store_true", help="print every row, too")
    given = parser.parse_args()
    found = modelled(published())
    if given.rows:
        for row, alone, hosted in found:
            print(
                f"{row.network} x{row.tpus} {row.split}, {row.batch} items: {row.ms:.3f} ms, "
                f"modelled {alone:.3f} ms, with the host {hosted:.3f} ms"
            )
    text = f"{examples(found)}\n\n{table(found)}"
    if given.write is None:
        print(text)
        return 0
    page = filled(given.write.read_text(encoding="utf-8"), {"pipelines": text})
    write_together(given.write.parent, {given.write.name: page.encode()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
