"""Made-up models with known latencies, and the optimum by trying every cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from math import comb

import numpy as np

from partitioner import Features, Line, Problem
from tests.partitioner.tables import features_of

Cost = Callable[[int, int], int | None]

MIB = 2**20


def every_cut(
    cost: Cost, n: int, k: int, choices: tuple[tuple[int, ...], ...] | None = None
) -> tuple[int, int] | None:
    """Lowest bottleneck and, with it, smallest gap over all cuts; ``None`` if none compiles."""
    assert comb(n - 1, k - 1) < 100_000
    best = None
    for cuts in combinations(range(1, n), k - 1):
        if choices is not None and any(c not in a for c, a in zip(cuts, choices, strict=True)):
            continue
        latencies = [cost(a, b) for a, b in pairwise((0, *cuts, n))]
        if None not in latencies:
            value = (max(latencies), max(latencies) - min(latencies))
            best = value if best is None else min(best, value)
    return best


def every_assignment(
    costs: Sequence[np.ndarray], counts: Sequence[int], k: int
) -> tuple[float, float] | None:
    """The same over all cuts and kinds of devices, ``counts`` of each, whose costs are tables."""
    m = len(costs[0])
    best: tuple[float, float] | None = None
    for cuts in combinations(range(1, m - 1), k - 1):
        ranges = list(pairwise((0, *cuts, m - 1)))
        for kinds in product(range(len(costs)), repeat=k):
            if any(kinds.count(q) > counts[q] for q in range(len(costs))):
                continue
            values = [float(costs[q][r]) for q, r in zip(kinds, ranges, strict=True)]
            if np.isfinite(max(values)):
                value = (max(values), max(values) - min(values))
                best = value if best is None else min(best, value)
    return best


def equal_cuts(n: int, k: int) -> tuple[int, ...]:
    """Segments of about equally many operators."""
    return tuple(n * i // k for i in range(1, k))


@dataclass(frozen=True)
class Model:
    """A chain of operators whose segments cost what a simple device would take.

    Fixed cost, compute, parameters beyond the on-chip capacity, and tensors in and out.
    """

    compute_ns: np.ndarray
    parameter_bytes: np.ndarray
    tensor_bytes: np.ndarray
    """n + 1 entries: what crosses each position, input and output of the model included."""
    seed: int
    noise: float = 0.0
    fixed_ns: float = 250_000.0
    capacity_bytes: float = 7.2 * MIB
    ns_per_byte: float = 1e9 / 320e6

    def __len__(self) -> int:
        return len(self.compute_ns)

    def spilled(self, first: int, end: int) -> float:
        return max(0.0, float(self.parameter_bytes[first:end].sum()) - self.capacity_bytes)

    def cost(self, first: int, end: int) -> int:
        moved = self.spilled(first, end) + self.tensor_bytes[first] + self.tensor_bytes[end]
        latency = self.fixed_ns + self.compute_ns[first:end].sum() + moved * self.ns_per_byte
        if self.noise:
            random = np.random.default_rng((self.seed, first, end))
            latency *= 1.0 + self.noise * random.standard_normal()
        return int(latency)

    def costs(self) -> np.ndarray:
        """All costs as ``(n + 1) x (n + 1)``, ``inf`` below the diagonal."""
        n = len(self)
        table = np.full((n + 1, n + 1), np.inf)
        for first in range(n):
            for end in range(first + 1, n + 1):
                table[first, end] = self.cost(first, end)
        return table

    def features(self) -> Features:
        """What could be known beforehand: compute only roughly, as multiply-accumulates."""
        n = len(self)
        random = np.random.default_rng((self.seed, 1))
        macs = self.compute_ns * 1000 * random.uniform(0.7, 1.3, n)
        spill = np.zeros((n + 1, n + 1))
        for first in range(n):
            for end in range(first + 1, n + 1):
                spill[first, end] = self.spilled(first, end)
        total = np.concatenate([[0.0], np.cumsum(macs)])
        tables = {
            "request": np.ones((n + 1, n + 1)),
            "bytes in": np.broadcast_to(self.tensor_bytes[:, None], (n + 1, n + 1)),
            "bytes out": np.broadcast_to(self.tensor_bytes[None, :], (n + 1, n + 1)),
            "off-chip bytes": spill,
            "macs": np.maximum(total[None, :] - total[:, None], 0.0),
        }
        return features_of(
            Line(tuple(range(n + 1))),
            boundary={name: tables[name] for name in ("request", "bytes in", "bytes out")},
            inside={name: tables[name] for name in ("off-chip bytes", "macs")},
            per_operator={"macs": macs},
        )

    def rates(self) -> dict[str, float]:
        """What a unit of each feature costs, ns; of compute roughly."""
        moved = dict.fromkeys(("bytes in", "bytes out", "off-chip bytes"), self.ns_per_byte)
        return {"request": self.fixed_ns, "macs": 1e-3, **moved}

    def problem(self, k: int, *, features: bool = True) -> Problem:
        """From a split of equal parameter bytes on."""
        n = len(self)
        total = np.cumsum(self.parameter_bytes)
        cuts: list[int] = []
        for i in range(1, k):
            cut = int(np.searchsorted(total, total[-1] * i / k)) + 1
            low, high = (cuts[-1] if cuts else 0) + 1, n - (k - i)
            cuts.append(min(max(cut, low), high))
        return Problem(n, k, tuple(cuts), features=self.features() if features else None)


def convolutional(n: int, seed: int, noise: float = 0.0) -> Model:
    """Like a convolutional network: large tensors early, 24 MiB of weights mostly late."""
    random = np.random.default_rng(seed)
    depth = np.linspace(0.0, 1.0, n + 1)
    weights = np.exp(5.0 * depth[:-1]) * random.lognormal(0.0, 0.7, n)
    return Model(
        compute_ns=random.lognormal(0.0, 0.8, n) * 12e6 / n,
        parameter_bytes=weights * 24 * MIB / weights.sum(),
        tensor_bytes=800e3 * np.exp(-4.0 * depth) * random.uniform(0.5, 1.5, n + 1),
        seed=seed,
        noise=noise,
    )


def even(n: int, seed: int) -> Model:
    """Like a chain of equal layers: many cuts are about equally good, and transfers are small."""
    random = np.random.default_rng(seed)
    return Model(
        compute_ns=random.lognormal(0.0, 0.5, n) * 12e6 / n,
        parameter_bytes=random.lognormal(0.0, 0.5, n) * 24 * MIB / n,
        tensor_bytes=50e3 * random.uniform(0.5, 1.5, n + 1),
        seed=seed,
    )
