"""Arrays to which measurements are added, against working everything out from a plain mapping."""

from __future__ import annotations

import numpy as np
import pytest

from partitioner.beliefs.measurements import Measurements
from partitioner.problem import Line, Places
from tests.partitioner.branched import all_ideals

LINE = Line(tuple(range(9)))
IDEALS = all_ideals((frozenset(), frozenset(), frozenset({0}), frozenset({1}), frozenset({0})))


@pytest.mark.parametrize("places", [LINE, IDEALS], ids=["line", "ideals"])
@pytest.mark.parametrize("seed", range(6))
def test_what_was_measured_is_found_wherever_it_can_be(places: Places, seed: int) -> None:
    random = np.random.default_rng(seed)
    every = places.segments()
    pairs = list(zip(every.first.tolist(), every.end.tolist(), strict=True))
    told: dict[tuple[int, ...], float] = {}
    measurements = Measurements(places)
    for count in range(40):
        pair = pairs[random.integers(len(pairs))]
        key = places.find(places.operators(*pair))
        assert key is not None
        runs = places.operators(*pair)
        # Told again it is mostly the same.
        latency = float(random.choice([1.0, 2.0, np.inf]))
        if runs in told and count % 5:
            latency = told[runs]
        told[runs] = latency
        measurements.add(*key, latency)
        assert measurements.get(key) == latency
        assert len(measurements) == len(told)
        if count % 3:
            continue
        expected = [told.get(places.operators(*pair), -1.0) for pair in pairs]
        filled = np.full((2, len(every)), -1.0)
        measurements.fill_in(every, *filled)
        assert filled.tolist() == [expected, expected]
        some = random.random(len(every)) < 0.5
        part = np.full(int(some.sum()), -1.0)
        measurements.fill_in(every.where(some), part)
        assert np.array_equal(part, np.array(expected)[some])
        first, end, runs_of_those = measurements.runs()
        assert list(zip(first, end, strict=True)) == sorted(zip(first, end, strict=True))
        found = {
            places.operators(int(a), int(b)): ns
            for a, b, ns in zip(first, end, runs_of_those, strict=True)
        }
        assert found == {runs: ns for runs, ns in told.items() if np.isfinite(ns)}
        failed = {places.operators(*pair) for pair in measurements.failed()}
        assert failed == {runs for runs, ns in told.items() if np.isinf(ns)}
