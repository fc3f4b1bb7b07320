#!/usr/bin/env python3
"""How often a proof of the search is false, where latencies are not what it takes them to be.

    python scripts/checks/proofs/false_proofs.py --problems 200 --write

Chains of 40 operators (820 segments) cut into 3 or 4, all segments of which are known: like a
convolutional network or even, half each.  Each problem departs in one way from what the bounds rest
on; the search, which only measures, ends with "optimal" or gives up after 100 measurements.  The
truth is solved for exactly over the same latencies.  ``--write`` puts the tables into
``docs/partitioning.md`` and draws the curves.  Searches begin at the split by parameter count, and
again where rates suggest that are right but for the departure; from there they measure less.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from compiler.drawing import Series, line_chart
from partitioner import CostTable, SearchOptions, search_optimal
from partitioner.problem import Segments
from partitioner.solving import Offer, least_bottleneck
from tests.partitioner.synthetic import Model, convolutional, even

ROOT = Path(__file__).resolve().parents[3]

N = 40
MOST = 100
SIZES = (0.0, 0.05, 0.1, 0.2)

SHARE = 20
"""Problems that a process takes on at once."""

Table = NDArray[np.float64]


def scatter(model: Model, costs: Table, size: float, random: np.random.Generator) -> Table:
    """Each segment takes a factor of its own, normally distributed in the logarithm."""
    return np.asarray(costs * np.exp(size * random.standard_normal(costs.shape)))


def outliers(model: Model, costs: Table, size: float, random: np.random.Generator) -> Table:
    """One segment in fifty takes more or less by ``size``."""
    factor = np.where(random.random(costs.shape) < 0.5, 1.0 + size, 1.0 / (1.0 + size))
    return np.where(random.random(costs.shape) < 0.02, costs * factor, costs)


def hidden(model: Model, costs: Table, size: float, random: np.random.Generator) -> Table:
    """Each place costs whoever begins or ends there up to ``size`` of a segment in the middle."""
    own = random.random(N + 1) * size * costs[N // 4, N // 2]
    return np.asarray(costs + own[:, None] + own[None, :])


def fusion(model: Model, costs: Table, size: float, random: np.random.Generator) -> Table:
    """Half of all neighbours save ``size`` of the smaller one's work where they are together."""
    work = model.compute_ns
    saved = np.where(random.random(N - 1) < 0.5, size, 0.0) * np.minimum(work[:-1], work[1:])
    total = np.concatenate([[0.0, 0.0], np.cumsum(saved)])
    first, end = np.triu_indices(N + 1, 1)
    result = costs.copy()
    result[first, end] -= total[end] - total[np.minimum(first + 1, N)]
    return result


def regime(model: Model, costs: Table, size: float, random: np.random.Generator) -> Table:
    """Beyond a quarter of the model's work, what is more takes longer by ``size``."""
    work = np.concatenate([[0.0], np.cumsum(model.compute_ns)])
    more = np.maximum(work[None, :] - work[:, None] - work[-1] / 4, 0.0)
    return np.asarray(costs + size * more)


DEPARTURES: dict[str, Callable[[Model, Table, float, np.random.Generator], Table]] = {
    "scatter": scatter,
    "outliers": outliers,
    "hidden boundary costs": hidden,
    "fusion": fusion,
    "regime change": regime,
}


@dataclass(frozen=True)
class Trial:
    """One search: what it claimed, whether that is true, and what it saw."""

    departure: str
    size: float
    proven: bool
    false: bool
    measured: int
    noise: float
    violation: float


def trials(departure: str, size: float, first: int, suggested: bool) -> list[Trial]:
    """A share of an entry of the table."""
    result = []
    for seed in range(first, first + SHARE):
        model = (convolutional, even)[seed % 2](N, seed)
        random = np.random.default_rng((seed, 99))
        costs = np.floor(DEPARTURES[departure](model, model.costs(), size, random))
        k = 3 + seed // 2 % 2
        every = Segments.all(N + 1)
        truth = least_bottleneck([Offer(every, costs[every.first, every.end], k)], k)
        found = search_optimal(
            model.problem(k),
            CostTable(lambda a, b, costs=costs: int(costs[a, b])),
            SearchOptions(max_measurements=MOST, rates=model.rates() if suggested else {}),
        )
        basis = found.bases[0]
        assert basis is not None
        result.append(
            Trial(
                departure,
                size,
                proven=found.lower_bound_ns >= found.bottleneck_ns,
                false=found.lower_bound_ns > truth,
                measured=found.measurements,
                noise=basis.noise,
                violation=found.guard.worst_violation,
            )
        )
    return result


def rows(every: Sequence[Trial]) -> list[str]:
    """The table for people: per departure and size, of how many proofs how many are false."""
    lines = [
        "| | " + " | ".join(f"{100 * size:g} %" for size in SIZES) + " |",
        "|---" * (len(SIZES) + 1) + "|",
    ]
    for departure in DEPARTURES:
        cells = []
        for size in SIZES:
            some = [t for t in every if (t.departure, t.size) == (departure, size)]
            proofs, wrong = sum(t.proven for t in some), sum(t.false for t in some)
            share = 100 * wrong / max(1, proofs)
            measured = median(t.measured for t in some)
            cells.append(f"{share:.1f} % of {proofs}, {measured:g} measured")
        lines.append(f"| {departure} | " + " | ".join(cells) + " |")
    return lines


def by_sign(every: Sequence[Trial]) -> list[str]:
    """Of proofs with the scatter and the violations that a search saw, how many are false.

    The chance is that of the next one to hold by the rule of succession: one more of each kind is
    counted than was seen.
    """
    lines = [
        "| scatter seen | violations seen | proofs | false | chance to hold |",
        "|---" * 5 + "|",
    ]
    signs: list[tuple[str, str, Callable[[Trial], bool]]] = [
        ("under 1 %", "under 1 %", lambda t: t.noise < 0.01 and t.violation < 0.01),
        ("under 1 %", "from 1 %", lambda t: t.noise < 0.01 <= t.violation),
    ]
    for noise in sorted({t.noise for t in every if t.noise >= 0.01}):
        signs.append((f"{100 * noise:g} %", "any", lambda t, noise=noise: bool(t.noise == noise)))
    for scatter_seen, violations, shown in signs:
        some = [t for t in every if t.proven and shown(t)]
        wrong = sum(t.false for t in some)
        chance = int(1000 * (len(some) - wrong + 1) / (len(some) + 2)) / 10
        lines.append(
            f"| {scatter_seen} | {violations} | {len(some):,} | {wrong} | {chance:.1f} % |"
        )
    return lines


def drawing(every: Sequence[Trial]) -> str:
    """The shares of false proofs as curves over the size of each departure."""
    colours = ("#c0392b", "#2471a3", "#1e8449", "#7d3c98", "#b7950b")
    series = []
    for number, departure in enumerate(DEPARTURES):
        points = []
        for size in SIZES:
            some = [t for t in every if (t.departure, t.size) == (departure, size)]
            proofs = max(1, sum(t.proven for t in some))
            points.append((100 * size, 100 * sum(t.false for t in some) / proofs))
        series.append(Series(departure, tuple(points), f"s{number}"))
    chart = line_chart(series, "size of the departure in %", "false proofs in %")
    style = "svg{background:#fff}text{font:12px sans-serif;fill:#222}.grid{stroke:#ddd}"
    style += ".line{fill:none;stroke-width:2}"
    key = ""
    for number, (departure, colour) in enumerate(zip(DEPARTURES, colours, strict=True)):
        style += f".line.s{number}{{stroke:{colour}}}.dot.s{number}{{fill:{colour}}}"
        key += f"<text x='90' y='{34 + 17 * number}' style='fill:{colour}'>{departure}</text>"
    start = chart.index(">") + 1
    head = chart[:start].replace("<svg ", "<svg xmlns='http://www.w3.org/2000/svg' ")
    return f"{head}<style>{style}</style>{chart[start:].removesuffix('</svg>')}{key}</svg>\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=200, help="for each entry of the table")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="into docs/")
    arguments = parser.parse_args()
    plain: list[Trial] = []
    suggested: list[Trial] = []
    with ProcessPoolExecutor(arguments.processes) as pool:
        shares = range(0, arguments.problems, SHARE)
        cells = list(product(DEPARTURES, SIZES, shares, [False, True]))
        for cell, some in zip(cells, pool.map(trials, *zip(*cells, strict=True)), strict=True):
            (suggested if cell[-1] else plain).extend(some)
            print(f"{some[-1].departure}, {100 * some[-1].size:g} %", file=sys.stderr, flush=True)
    tell(plain, suggested, write=arguments.write)


def tell(plain: Sequence[Trial], suggested: Sequence[Trial], *, write: bool) -> None:
    """Print the tables; ``write`` puts them and the picture into ``docs/``."""
    lines = [
        "Searches from where rates suggest:",
        "",
        *rows(suggested),
        "",
        *by_sign(suggested),
        "",
    ]
    lines += ["From the split by parameter count:", "", *rows(plain), "", *by_sign(plain)]
    text = "\n".join(lines)
    print(text)
    if write:
        page = ROOT / "docs" / "partitioning.md"
        marks = re.compile(r"(<!-- false proofs -->\n).*?(\n<!-- end -->)", re.DOTALL)
        old = page.read_text(encoding="utf-8")
        assert marks.search(old), "the page has a place for it"
        page.write_text(marks.sub(lambda m: m[1] + text + m[2], old), encoding="utf-8")
        picture = ROOT / "docs" / "images" / "false_proofs.svg"
        picture.write_text(drawing(suggested), encoding="utf-8")


if __name__ == "__main__":
    main()
