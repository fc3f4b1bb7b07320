"""Realtime: devices occupy at least their latency, lateness is counted and does not add up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import PipelinedModelRunner
from tests.pipeline.scripted import line

Start = Callable[..., PipelinedModelRunner]

ZERO: dict[str, Any] = {"x": np.zeros((1, 4), np.int8)}


def test_items_take_at_least_their_latencies(start: Start) -> None:
    scripts = line(2)
    scripts[0].latencies_ns, scripts[1].latencies_ns = [3_000_000], [5_000_000]
    with start(scripts, clock="realtime") as runner:
        before_ns = time.monotonic_ns()
        runner.push(ZERO)
        result = runner.pop_result()
        after_ns = time.monotonic_ns()
        assert result is not None
        assert before_ns <= result.entry_ns
        assert result.exit_ns - result.entry_ns >= 8_000_000
        assert result.exit_ns <= after_ns


def test_a_saturated_pipeline_cannot_be_faster_than_its_bottleneck(start: Start) -> None:
    scripts = line(3)
    for script, latency in zip(scripts, (1_000_000, 4_000_000, 2_000_000), strict=True):
        script.latencies_ns = [latency]
    with start(scripts, clock="realtime") as runner:
        for _ in range(40):
            runner.push(ZERO)
        runner.push({})
        exits = [result.exit_ns for result in iter(runner.pop_result, None)]
    stats = runner.stats()
    assert exits[-1] - exits[0] >= 38 * 4_000_000
    for stage in stats.stages:  # every nanosecond is accounted for, lateness included
        counters = stage.counters
        assert counters.last_depart_ns - counters.first_start_ns == (
            counters.busy_ns
            + counters.overrun_ns
            + counters.wait_input_ns
            + counters.wait_output_ns
        )
    assert [stage.latency_p50_ns for stage in stats.stages] == [1_000_000, 4_000_000, 2_000_000]
    assert stats.stages[0].counters.wait_output_ns > 0
    assert stats.stages[2].counters.wait_input_ns > 0


def test_a_host_that_cannot_keep_up_is_counted(start: Start, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    scripts = line(1, latencies_ns=[1_000_000], gate_at=1, gate=gate)
    with start(scripts, clock="realtime") as runner:
        for _ in range(3):
            runner.push(ZERO)
        with open(gate, "wb"):
            time.sleep(0.03)  # the host is slow by this much; nothing is waited for
        assert len([runner.pop() for _ in range(3)]) == 3
    counters = runner.stats().stages[0].counters
    assert counters.overruns >= 1
    assert counters.overrun_ns >= 20_000_000


@pytest.mark.usefixtures("patient_ends")
def test_cancelling_does_not_wait_for_a_long_latency(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    hour = line(2, latencies_ns=[3_600_000_000_000], gate_at=0, gate=gate)
    runner = start(hour, clock="realtime")
    runner.push(ZERO)
    with open(gate, "wb"):
        pass  # the chip computes now, and the stage waits for the hour to pass
    runner.cancel()
    assert "still busy" not in caplog.text


def test_an_item_can_be_ready_later(start: Start) -> None:
    with start(line(1), clock="realtime") as runner:
        at = time.monotonic_ns() + 20_000_000
        runner.push(ZERO, ready_ns=at)
        result = runner.pop_result()
        assert result is not None
        assert result.entry_ns == at
        assert result.exit_ns >= at + 1000
