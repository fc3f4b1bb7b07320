"""When items come, against times worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from devices.errors import ConfigError
from pipeline.describing.arrivals import offsets_of
from pipeline.describing.description import Bursts, Closed, FixedRate, Poisson, TraceFile

SEED = (0, 0)


def times(*arguments: object) -> list[int]:
    found = offsets_of(*arguments)  # type: ignore[arg-type]
    assert found is not None
    return [int(one) for one in found]


def test_a_camera_is_exact() -> None:
    camera = FixedRate(kind="rate", per_s=30)
    assert times(camera, 4, None, SEED) == [0, 33_333_333, 66_666_667, 100_000_000]
    assert len(times(camera, 4, 2.0, SEED)) == 60, "a duration takes the place of a number"


def test_bursts_come_at_once_and_keep_the_mean_rate() -> None:
    bursts = Bursts(kind="bursts", per_s=10, size=2)
    assert times(bursts, 5, None, SEED) == [0, 0, 200_000_000, 200_000_000, 400_000_000]


def test_random_arrivals_repeat_for_a_seed_and_differ_between_repeats() -> None:
    poisson = Poisson(kind="poisson", per_s=50)
    first = times(poisson, 20_000, None, SEED)
    assert first == times(poisson, 20_000, None, SEED)
    assert first != times(poisson, 20_000, None, (0, 1))
    gaps_s = np.diff(first) / 1e9
    # An exponential gap has its mean as its deviation; four standard errors of each.
    assert gaps_s.mean() == pytest.approx(0.02, rel=4 / 20_000**0.5)
    assert gaps_s.std() == pytest.approx(0.02, rel=4 * (2 / 20_000) ** 0.5)
    within = times(poisson, 2, 10.0, SEED)
    assert within == first[: len(within)]
    assert first[len(within)] >= 10e9 > within[-1]


def test_a_trace_begins_anew_after_its_mean_gap(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("# seconds\n0\n1\n\n4  # late\n")
    trace = TraceFile(kind="trace", file="t.txt")
    found = times(trace, 7, None, SEED, str(tmp_path))
    assert [one / 1e9 for one in found] == [0, 1, 4, 6, 7, 10, 12]
    assert len(times(trace, 2, 6.5, SEED, str(tmp_path))) == 4


@pytest.mark.parametrize("text", ["0\nx\n", "3\n2\n", "1\n", "", "nan\n1\n", "-1\n2\n"])
def test_a_trace_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(ConfigError, match=r"t\.txt"):
        offsets_of(TraceFile(kind="trace", file="t.txt"), 5, None, SEED, str(tmp_path))


def test_a_closed_loop_has_no_times() -> None:
    assert offsets_of(Closed(kind="closed", in_flight=3), 5, None, SEED) is None
