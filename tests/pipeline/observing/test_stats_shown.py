"""Statistics as JSON and as text, and what the processes use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from devices import Device
from pipeline import PipelinedModelRunner
from tests.pipeline.scripted import line

Start = Callable[..., PipelinedModelRunner]


def x(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value % 128, np.int8)}


def test_everything_fits_into_json(start: Start, processes: tuple[Device, ...]) -> None:
    scripts = line(2)
    scripts[1].latencies_ns = [1000, 3000]
    scripts[0].fail_at = [4]
    with start(scripts, processes[:2]) as runner:
        list(runner.run([x(value) for value in range(7)], return_errors=True))
    values = json.loads(json.dumps(runner.stats(processes=True).as_dict()))
    assert (values["pushed"], values["finished"], values["popped"]) == (7, 7, 7)
    first, second = values["stages"]
    assert (first["segment"], first["device"], first["items"]) == (0, "process:0", 6)
    assert first["counters"]["failed_items"] == 1
    assert second["counters"]["passed_items"] == 1
    assert second["latency_mean_ns"] == 2000
    assert second["counters"]["longest_ns"] == 3000
    assert second["latency_p99_ns"] == pytest.approx(3000, rel=0.008)
    assert second["counters"]["input_bytes"] == second["counters"]["output_bytes"] == 6 * 4
    assert second["timing"]["compute_ns"] == 6 * 2000
    assert [use["name"] for use in values["processes"]] == ["host", "process:0", "process:1"]


def test_what_the_processes_use(start: Start, processes: tuple[Device, ...]) -> None:
    with start(line(3), processes) as runner:
        assert runner.stats().processes == ()
        uses = runner.stats(processes=True).processes
    assert [use.pid for use in uses] == [
        os.getpid(),
        *(device.health().pid for device in processes),
    ]
    for use in uses:
        process = psutil.Process(use.pid)
        assert 1e6 < use.rss_bytes < 1e11
        assert abs(use.rss_bytes - process.memory_info().rss) < 64e6
        times = process.cpu_times()
        # A device that was forked a moment ago may have used less than a tick of the clock.
        assert use is not uses[0] or use.cpu_s > 0
        assert 0 <= use.cpu_s <= times.user + times.system
        assert (use.cpu_percent > 0) == (use.cpu_s > 0)
        assert set(use.cpus) == set(process.cpu_affinity() or ())


def test_devices_inside_the_host_are_the_host(start: Start) -> None:
    with start(line(2)) as runner:
        assert [use.name for use in runner.stats(processes=True).processes] == ["host"]


def test_the_table(start: Start, processes: tuple[Device, ...]) -> None:
    scripts = line(2)
    scripts[0].latencies_ns = [2_000_000]
    scripts[1].latencies_ns = [5_000_000]
    with start(scripts, processes[:2]) as runner:
        assert "bottleneck" not in runner.stats().table()
        runner.map([x(value) for value in range(10)])
    lines = runner.stats(processes=True).table().splitlines()
    assert lines[0].split()[:3] == ["segment", "device", "items"]
    assert lines[1].split()[:6] == ["0", "process:0", "10", "2.000", "2.000", "2.000"]
    assert lines[2].split()[:6] == ["1", "process:1", "10", "5.000", "5.000", "5.000"]
    assert lines[2].endswith("<- bottleneck")
    assert lines[3] == "10 pushed, 10 finished, 10 popped; virtual clock"
    assert [line.split()[0] for line in lines[5:]] == ["process", "host", "process:0", "process:1"]
