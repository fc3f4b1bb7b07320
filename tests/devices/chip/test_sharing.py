"""What an inference asks of a link that several devices share, worked by hand."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from devices import ConfigError, DeviceConfig, SimulatedChip, Timing
from devices.chip import LinkUse, SharedLink, SharedTiming
from devices.chip.latency import RESTREAM_INPUT_BYTES
from devices.chip.sharing import Transfers, on_link, transfers_of
from tests.devices.tiny_executables import info, read_tiny, work

STREAMED = {"parameter_bytes": 5_000, "on_chip": False}


def test_what_a_part_moves() -> None:
    one = info(work("ADD"), work("CONV_2D", **STREAMED), work("ADD", "cpu", **STREAMED))
    moved = transfers_of(one, 300, 20, cold=False)
    assert moved == Transfers(0, 300 + one.instruction_bytes, 5_000, 20)
    assert transfers_of(one, 300, 20, cold=True).load_bytes == one.on_chip_bytes
    # A convolution over a large input streams its parameters six times.
    large = info(work("CONV_2D", input_bytes=RESTREAM_INPUT_BYTES + 1_000_000, **STREAMED))
    assert transfers_of(large, 0, 0, cold=False).streaming_bytes == 30_000


def test_on_the_cpu_alone_nothing_is_moved() -> None:
    assert transfers_of(info(work("ADD", "cpu")), 300, 20, cold=True) == Transfers()


def test_nothing_is_faster_than_the_link() -> None:
    timing = Timing(1_000, 500, 100, 300, 50, 40, 7)
    moved = [Transfers(400, 60, 240, 8), Transfers(0, 20, 0, 2)]
    found = on_link(timing, moved, SharedLink("root", 0.5))
    assert found.use == LinkUse(800, 160, 480, 20)
    assert vars(Timing(1_000, 800, 160, 300, 180, 40, 7)) == {
        name: value for name, value in vars(found).items() if name != "use"
    }
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_fast_link_changes_no_time() -> None:
    timing = Timing(1_000, 500, 100, 300, 50, 40, 7)
    found = on_link(timing, [Transfers(400, 60, 240, 8)], SharedLink("root", 1e6))
    assert found.total_ns == timing.total_ns
    assert found.use == LinkUse(0, 0, 0, 0)


def test_a_chip_on_a_shared_link_says_what_it_asks_for() -> None:
    x = {"x": np.zeros((1, 4), np.int8)}
    timings = []
    for link in (None, SharedLink("root", 0.001)):
        chip = SimulatedChip("a", DeviceConfig(shared_link=link), read=read_tiny)
        handle = chip.load(Path("double")).handle
        timings.append(chip.execute(handle, x))
    alone, shared = timings
    assert not isinstance(alone, SharedTiming)
    assert isinstance(shared, SharedTiming)
    assert shared.use.input_ns == shared.input_ns > alone.input_ns
    assert shared.use.output_ns == shared.output_ns == 4_000  # four bytes
    assert shared.compute_ns == alone.compute_ns


@pytest.mark.parametrize("rate", [0, -1.0, True, "fast", 1e9])
def test_impossible_rates_are_refused(rate: object) -> None:
    with pytest.raises(ConfigError, match="bytes_per_ns of the link 'root'"):
        SharedLink("root", rate)  # type: ignore[arg-type]


def test_a_link_by_its_name_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="shared_link of a device is 'root' and must name one"):
        DeviceConfig(shared_link="root")  # type: ignore[arg-type]
