"""What is said of the gap and the threshold, held against trying every cut."""

from __future__ import annotations

import re
from itertools import combinations, pairwise

import numpy as np

from partitioner import CostTable, Problem, SearchOptions, search_optimal
from partitioner.problem import Partition
from partitioner.reporting import Report
from partitioner.reporting.why import why
from tests.partitioner.synthetic import every_cut


def said(partition: Partition, threshold: int) -> str:
    return why(
        Report(
            model="made-up.tflite",
            model_sha256="0" * 64,
            num_operators=6,
            compiler="none",
            devices=(),
            options={"diff_threshold_ns": threshold},
            partition=partition,
            whole_model_ns=None,
            trial=None,
            verification="not compared",
            files=(),
        )
    )


def test_a_threshold_cannot_be_met_only_where_that_is_proven() -> None:
    """Made-up latencies, searches that end early, and what they proved of the gap by then."""
    random = np.random.default_rng(12)
    cannot = not_known = 0
    for _ in range(300):
        n, k = 6, int(random.integers(2, 5))
        times = {pair: int(random.integers(1, 9)) * 1000 for pair in combinations(range(n + 1), 2)}
        truth = every_cut(lambda a, b, times=times: times[a, b], n, k)
        assert truth is not None
        # A cut as fast as any that is less even, and a bound on the gap that is true.
        cuts = [
            c
            for c in combinations(range(1, n), k - 1)
            if max(times[pair] for pair in pairwise((0, *c, n))) == truth[0]
        ]
        chosen = cuts[int(random.integers(len(cuts)))]
        given = Problem(n, k, chosen)
        found = search_optimal(given, CostTable(times), SearchOptions(max_measurements=1))
        least = int(random.integers(0, truth[1] + 1)) if random.random() < 0.6 else truth[1]
        partition = Partition(
            **{
                **vars(found),
                "outcome": "optimal",
                "lower_bound_ns": truth[0],
                "least_gap_ns": min(least, found.gap_ns),
            }
        )
        threshold = int(random.integers(1, 9)) * 1000
        sentence = said(partition, threshold)
        if "cannot be met" in sentence:
            cannot += 1
            assert truth[1] >= threshold, sentence
        if "is not known" in sentence:
            not_known += 1
            assert partition.least_gap_ns < threshold <= partition.gap_ns
        down_to = re.search(r"exist down to ([\d.]+) ms", sentence)
        assert down_to is None or round(float(down_to[1]) * 1e6) <= truth[1], sentence
    assert min(cannot, not_known) > 30
