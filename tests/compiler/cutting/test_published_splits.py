"""``--num_segments`` beside the segments that Google's compiler made of SSD MobileNet v1."""

from __future__ import annotations

import pytest

from compiler import Graph
from compiler.accuracy import detector_of_its_time
from compiler.cutting import parameter_count_parts

GOOGLE = {2: (27, 20), 3: (26, 2, 19), 4: (24, 3, 3, 17)}
"""Convolutions of each segment, from the compiled segments in google-coral/test_data."""


@pytest.fixture(scope="module")
def detector() -> Graph:
    return detector_of_its_time()


@pytest.mark.parametrize("segments", GOOGLE)
def test_segments_hold_the_convolutions_of_googles(detector: Graph, segments: int) -> None:
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D")
    parts = parameter_count_parts(detector, segments)
    counts = [sum(detector.operators[i].kind in kinds for i in part) for part in parts]
    assert tuple(counts) == GOOGLE[segments]
