"""Which segments a long model leaves in question, against bounds on all of them."""

from __future__ import annotations

import numpy as np
import pytest

from partitioner.beliefs import Knowledge
from partitioner.problem import Line
from tests.partitioner.synthetic import convolutional, even


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("modelled", [True, False])
def test_none_is_left_out_that_may_be_within(seed: int, modelled: bool) -> None:
    """Segments are listed up to an end behind which measured parts alone are too much."""
    model = convolutional(40, seed, noise=0.1 * (seed % 2)) if seed % 4 < 2 else even(40, seed)
    places = Line(tuple(range(41)))
    random = np.random.default_rng(seed)
    known = Knowledge(places, model.features() if modelled else None)
    every = places.segments()
    for at in random.choice(len(every), (3, 12, 60)[seed % 3], replace=False):
        first, end = int(every.first[at]), int(every.end[at])
        known.observe((first, end), None if random.random() < 0.1 else model.cost(first, end))
    lower = known.beliefs(every).lower
    for ceiling in np.quantile(lower[np.isfinite(lower)], [0.0, 0.1, 0.4, 0.9]):
        found = known.within(float(ceiling))
        _, listed = found.find(every.first, every.end)
        assert listed[lower <= ceiling].all()
        assert found.num_places == 41
    assert len(known.within(1e3)) < len(every)
