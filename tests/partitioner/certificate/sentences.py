"""Made-up evidence, and every sentence that follows from it held against trying all cuts."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import cache
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from partitioner import Problem
from partitioner.certificate import claims_of
from partitioner.problem import ALIKE, Claims
from partitioner.reporting import why
from tests.partitioner.certificate.made_up import OPTIONS, tiny

Costs = dict[tuple[int, int], int | None]


def values(n: int, k: int, costs: Costs) -> dict[tuple[int, ...], tuple[int, int]]:
    """Bottleneck and gap of every cut that compiles."""
    result = {}
    for cuts in combinations(range(1, n), k - 1):
        times = [costs[pair] for pair in pairwise((0, *cuts, n))]
        numbers = [ns for ns in times if ns is not None]
        if len(numbers) == k:
            result[cuts] = max(numbers), max(numbers) - min(numbers)
    return result


def evidence(
    cuts: tuple[int, ...], n: int, costs: Costs, random: np.random.Generator, **options: Any
) -> dict[str, Any]:
    """As if a search had measured this cut and whatever else."""
    cut = list(pairwise((0, *cuts, n)))
    share = random.random()
    known = {pair: costs[pair] for pair in costs if pair in cut or random.random() < share}
    return {
        "options": {**OPTIONS, **options},
        "segments": [
            {
                "operators_in_file": [pair],
                "latency_ns": costs[pair],
                "on_chip_bytes": 0,
                "off_chip_bytes": 0,
            }
            for pair in cut
        ],
        "certificate": {
            "available": {},
            "bases": [asdict(ALIKE)] if random.random() < 0.8 else [],
            "limit": str(random.choice(["", "budget", "timeout", "effort"])),
            "measured": [[*pair, ns] for pair, ns in known.items()],
        },
        "rounds": [{"lower_bound_ns": int(random.integers(0, 30)) * 1000}],
    }


def outcome_of(claims: Claims, threshold: int, random: np.random.Generator) -> str:
    """One that this could have been."""
    if claims.gap_ns < threshold:
        return "balanced"
    best = claims.fastest_measured_ns, claims.its_gap_ns
    if claims.proven and best == (claims.bottleneck_ns, claims.gap_ns):
        return "optimal"
    return str(random.choice(["budget", "timeout", "interval", "given", "heuristic"]))


def ns_in(pattern: str, sentence: str) -> int | None:
    found = re.search(pattern, sentence)
    return None if found is None else round(float(found[1]) * 1e6)


@cache
def problem_of_size(n: int, k: int) -> Problem:
    return Problem(n, k, tuple(range(1, k)))


def check_sentences(count: int, seed: int) -> dict[str, int]:
    """So many random problems, each with whatever measurements, most of which prove little.

    Returns how often each claim was made; none may be false.
    """
    random = np.random.default_rng(seed)
    told = dict.fromkeys(("optimal", "bound", "gap", "least", "cannot", "withdrawn"), 0)
    number = 0
    while number < count:
        n, k, costs = tiny(random)
        every = values(n, k, costs)
        if not every:
            continue
        number += 1
        best, best_gap = min(every.values())
        cuts = min(every, key=lambda c: every[c]) if random.random() < 0.7 else next(iter(every))
        threshold = int(random.integers(0, 8)) * 1000
        content = evidence(cuts, n, costs, random, diff_threshold_ns=threshold)
        claims = claims_of(content, problem_of_size(n, k))
        content["outcome"] = outcome_of(claims, threshold, random)
        sentence = why(claims, content)

        assert claims.lower_bound_ns <= best
        bound = ns_in(r"bottleneck below ([\d.]+) ms", sentence)
        if bound is not None:
            told["bound"] += 1
            assert bound <= best, sentence
        if "Optimal" in sentence:
            told["optimal"] += 1
            assert every[cuts][0] == best, sentence
        above = re.search(r"at most ([\d.]+) % above", sentence)
        if above is not None:
            assert every[cuts][0] <= best * (1 + float(above[1]) / 100), sentence
        if "o cut has a lower bottleneck" in sentence:
            assert every[cuts][0] == best, sentence
        if "none that is as fast has a smaller gap" in sentence:
            told["gap"] += 1
            assert every[cuts] == (best, best_gap), sentence
        least = ns_in(r"exist down to ([\d.]+) ms", sentence)
        if least is not None:
            told["least"] += 1
            assert least <= best_gap, sentence
        if "cannot be met" in sentence:
            told["cannot"] += 1
            assert best_gap >= threshold > 0, sentence
        if "under the threshold" in sentence:
            assert every[cuts][1] < threshold, sentence
        faster = ns_in(r"less even cut with a bottleneck of ([\d.]+) ms", sentence)
        if faster is not None:
            assert best <= faster < every[cuts][0], sentence
        if "withdrawn" in sentence:
            told["withdrawn"] += 1
    return told
