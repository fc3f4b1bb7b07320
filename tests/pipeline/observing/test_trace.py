"""Traces show what the pure recurrence says happened, in bounded memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import ConfigError, Device
from pipeline import PipelinedModelRunner, chain, simulate
from tests.pipeline.scripted import Script, line, tensor

Start = Callable[..., PipelinedModelRunner]


def x(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value % 128, np.int8)}


def bars(trace: dict[str, Any], segment: int) -> list[dict[str, Any]]:
    """The items of one stage, in order."""
    return [
        event
        for event in trace["traceEvents"]
        if event["ph"] == "X" and event["tid"] == segment and event["cat"] != "wait"
    ]


@pytest.fixture
def scripts() -> list[Script]:
    scripts = line(3)
    scripts[0].latencies_ns = [700, 300, 900]
    scripts[1].latencies_ns = [100, 1500]
    scripts[2].latencies_ns = [800]
    return scripts


@pytest.mark.parametrize("in_processes", [False, True])
def test_the_bars_are_those_of_the_recurrence(
    start: Start, scripts: list[Script], processes: tuple[Device, ...], in_processes: bool
) -> None:
    devices = processes if in_processes else None
    with start(scripts, devices, trace=True, queue_size=1) as runner:
        runner.map([x(value) for value in range(50)])
    trace = runner.trace()  # once the last stage has noted its last item, too
    rows = [[s.latencies_ns[i % len(s.latencies_ns)] for s in scripts] for i in range(50)]
    times = simulate(rows, chain(3, 1))
    for segment in range(3):
        drawn = bars(trace, segment)
        assert [event["name"] for event in drawn] == [f"item {i}" for i in range(50)]
        arguments = [event["args"] for event in drawn]
        for name, column in (
            ("start_ns", times.start_ns),
            ("finish_ns", times.finish_ns),
            ("depart_ns", times.depart_ns),
        ):
            assert [a[name] for a in arguments] == column[:, segment].tolist()
        assert [event["ts"] for event in drawn] == [a["start_ns"] / 1000 for a in arguments]
        assert [event["dur"] * 1000 for event in drawn] == pytest.approx(
            [row[segment] for row in rows]
        )
        assert [a["compute_ns"] for a in arguments] == [row[segment] for row in rows]
        idle = times.start_ns[1:, segment] - times.depart_ns[:-1, segment]
        assert [a["wait_input_ns"] for a in arguments[1:]] == idle.tolist()
        assert all(a["host_begin_ns"] <= a["host_end_ns"] for a in arguments)
    waits = [e for e in trace["traceEvents"] if e.get("cat") == "wait"]
    held = times.depart_ns > times.finish_ns
    assert held.any()
    assert len(waits) == held.sum()
    assert trace["otherData"]["clock"] == "virtual"


def test_rows_are_named_and_items_tied_together(start: Start, scripts: list[Script]) -> None:
    with start(scripts, trace=4) as runner:
        runner.map([x(0), x(1)])
    trace = json.loads(json.dumps(runner.trace()))
    events = trace["traceEvents"]
    named = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events
        if event["name"] == "thread_name"
    }
    assert named == {(1, 0): "segment 0", (2, 1): "segment 1", (3, 2): "segment 2"}
    processes = [event for event in events if event["name"] == "process_name"]
    assert [(e["pid"], e["args"]["name"]) for e in processes] == [
        (index + 1, f"device local:{index}") for index in range(3)
    ]
    arrows = [(e["ph"], e["id"], e["tid"]) for e in events if e.get("cat") == "flow"]
    assert sorted(arrows, key=lambda arrow: (arrow[1], arrow[2])) == [
        (kind, item, segment) for item in (0, 1) for segment, kind in enumerate("stf")
    ]
    for event in events:  # what the format asks of every event
        assert {"name", "ph", "ts", "pid", "tid"} <= set(event)


def test_only_the_newest_items_are_kept(start: Start) -> None:
    with start(line(2), trace=7) as runner:
        runner.map([x(value) for value in range(40)])
    trace = runner.trace()
    for segment in (0, 1):
        assert [event["name"] for event in bars(trace, segment)] == [
            f"item {item}" for item in range(33, 40)
        ]
    assert trace["otherData"]["dropped"] == {"segment 0": 33, "segment 1": 33}


def test_failed_items_say_so(start: Start) -> None:
    scripts = line(3)
    scripts[1].fail_at = [1]
    with start(scripts, trace=True) as runner:
        list(runner.run([x(value) for value in range(3)], return_errors=True))
    trace = runner.trace()
    outcomes = [[event["cat"] for event in bars(trace, segment)] for segment in range(3)]
    assert outcomes == [
        ["inferred", "inferred", "inferred"],
        ["inferred", "failed", "inferred"],
        ["inferred", "passed on", "inferred"],
    ]


def test_the_realtime_clock_and_that_of_the_host(start: Start) -> None:
    scripts = line(2, latencies_ns=[2_000_000])
    with start(scripts, clock="realtime", trace=True) as runner:
        runner.map([x(value) for value in range(5)])
    on_device, on_host = runner.trace(), runner.trace("host")
    with pytest.raises(ConfigError, match="must be 'device' or 'host'"):
        runner.trace("wall")  # type: ignore[arg-type]
    assert on_device["otherData"]["clock"] == "realtime"
    assert on_host["otherData"]["clock"] == "host"
    for trace in (on_device, on_host):
        starts = [event["ts"] for event in bars(trace, 0) + bars(trace, 1)]
        assert min(starts) == 0
        assert trace["otherData"]["origin_ns"] > 0
    assert all(event["dur"] >= 2000 for event in bars(on_device, 0))


def test_a_stage_on_several_channels_is_traced_too(start: Start) -> None:
    """A tensor that skips a stage, and an item that is ready late."""
    scripts = [
        Script([tensor("x")], [tensor("a"), tensor("b")], [10]),
        Script([tensor("a")], [tensor("c")], [20]),
        Script([tensor("b"), tensor("c")], [tensor("y")], [30]),
    ]
    with start(scripts, trace=True) as runner:
        runner.push(x(0), ready_ns=1000)
        runner.pop()
    trace = runner.trace()
    starts = [bars(trace, segment)[0]["args"]["start_ns"] for segment in range(3)]
    assert starts == [1000, 1010, 1030]


def test_saving_is_whole_or_not_at_all(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "trace.json"
    with start(line(1), trace=True) as runner:
        runner.map([x(0)])
        runner.save_trace(target)
        assert len(bars(json.loads(target.read_text()), 0)) <= 1
    runner.save_trace(target)
    assert json.loads(target.read_text()) == runner.trace()
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()
    before = target.read_text()

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("json.dump", full)
        with pytest.raises(ConfigError, match=r"trace\.json cannot be written: .*No space"):
            runner.save_trace(target)
    assert target.read_text() == before
    with pytest.raises(ConfigError, match="cannot be written"):
        runner.save_trace(tmp_path / "absent" / "trace.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.json", "trace.json"]


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def test_without_the_option_nothing_is_recorded(start: Start) -> None:
    with start(line(1)) as runner:
        with pytest.raises(ConfigError, match="trace=True"):
            runner.trace()
        with pytest.raises(ConfigError, match="trace=True"):
            runner.save_trace("nowhere.json")


@pytest.mark.parametrize("trace", [0, -1, 2.5, "yes", 10**9])
def test_impossible_sizes_are_refused(start: Start, trace: Any) -> None:
    with pytest.raises(ConfigError, match=r"trace is .*, but it must be True, False, or how many"):
        start(line(1), trace=trace)
