"""Devices that hang or are stopped are found by their deadline; those that wait are left alone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pipeline import InferenceError, PipelineBroken, PipelinedModelRunner
from tests.pipeline.scripted import line, local_device
from tests.pipeline.supervising.pushing import check_next, push_all, x
from tests.waiting import LONG_S, stop

Start = Callable[..., PipelinedModelRunner]

DEADLINE_S = 2.0
"""Long enough for a stage that is not stopped, on a machine however busy."""


def test_a_stopped_process_is_found_by_its_deadline(start: Start, mortals: Any) -> None:
    devices = mortals(5)
    scripts = line(3)
    runner = start(scripts, devices[:3], spares=devices[3:], item_deadline_s=DEADLINE_S)
    for item in range(3):
        runner.push(x(item))
        check_next(runner, scripts, item)
    stop(devices[1].pid)  # while it is idle
    runner.push(x(3))
    began = time.monotonic()
    check_next(runner, scripts, 3)
    assert time.monotonic() - began > 0.8 * DEADLINE_S
    assert runner.devices[1] in devices[3:]  # the second one if the first lets wait
    runner.push(x(4))
    check_next(runner, scripts, 4)
    runner.close()
    assert not devices[1].health().alive


@pytest.mark.parametrize("stopped", [0, 1, 2])
def test_a_process_stopped_with_nothing_but_the_end_to_hand_on(
    start: Start, mortals: Any, stopped: int
) -> None:
    """The end is no item, so no stage can be seen to be late with it."""
    devices = mortals(4)
    scripts = line(3)
    runner = start(scripts, devices[:3], spares=devices[3:], item_deadline_s=DEADLINE_S)
    for item in range(3):
        runner.push(x(item))
        check_next(runner, scripts, item)
    stop(devices[stopped].pid)
    runner.push({})
    assert runner.pop(timeout=LONG_S) is None
    assert [stage.restarts for stage in runner.stats().stages].count(1) == 1
    runner.close()


def test_a_chip_that_hangs_in_an_item(start: Start, mortals: Any, tmp_path: Any) -> None:
    devices = mortals(4)
    scripts = line(3)
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    scripts[0].gate_at, scripts[0].gate = 2, gate
    runner = start(
        scripts, devices[:3], spares=devices[3:], item_deadline_s=DEADLINE_S, max_replays=0
    )
    pushing = push_all(runner, 4)
    check_next(runner, scripts, 0)
    check_next(runner, scripts, 1)
    with pytest.raises(InferenceError, match="did not go on with item 2 of segment 0 within"):
        runner.pop(timeout=30)
    check_next(runner, scripts, 3)
    pushing.join()
    runner.close()


@pytest.mark.parametrize("place", ["_send", "regrant"])
def test_a_stage_stopped_before_it_tells_is_the_one_to_blame(
    start: Start, mortals: Any, tmp_path: Any, place: str
) -> None:
    """Its neighbours' memory says they could go on, but nobody told them."""
    devices = mortals(4)
    devices[0].start_program = partial(stopping_at, devices[0].start_program, place)
    runner = start(
        line(2), devices[:2], spares=devices[2:], item_deadline_s=DEADLINE_S, queue_size=1
    )
    pushing = push_all(runner, 60)
    for item in range(60):
        check_next(runner, line(2), item)
    assert runner.pop(timeout=30) is None
    pushing.join()
    assert [stage.restarts for stage in runner.stats().stages] == [1, 0]


def stopping_at(
    start_program: Any, place: str, program: Any, *arguments: Any, **options: Any
) -> Any:
    return start_program(partial(stop_in, program, place), *arguments, **options)


def stop_in(program: Any, place: str, context: Any) -> None:
    """Runs in a device process of its own: stops it at its fourth item, before the pipe is told."""
    from pipeline.channels import shared_memory as shared_memory_channel

    end: Any = {
        "_send": shared_memory_channel.SharedMemoryProducer,
        "regrant": shared_memory_channel.SharedMemoryConsumer,
    }[place]
    told, calls = getattr(end, place), []

    def tell(self: Any, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 5:  # the first is said at the start
            os.kill(os.getpid(), signal.SIGSTOP)
        told(self, *arguments)

    setattr(end, place, tell)
    program(context)


@pytest.mark.parametrize("stopped", [0, 2])
def test_a_stopped_neighbour_that_should_repeat_is_the_one_to_blame(
    start: Start, mortals: Any, stopped: int
) -> None:
    """Stage 1 dies and its successor learns from nobody how far a stopped neighbour is."""
    devices = mortals(5)
    runner = start(line(3), devices[:3], spares=devices[3:], item_deadline_s=DEADLINE_S)
    runner.push(x(0))
    check_next(runner, line(3), 0)
    stop(devices[stopped].pid)
    os.kill(devices[1].pid, signal.SIGKILL)
    for item in range(1, 8):
        runner.push(x(item))
    for item in range(1, 8):
        check_next(runner, line(3), item)
    restarts = [stage.restarts for stage in runner.stats().stages]
    assert restarts == ([1, 1, 0] if stopped == 0 else [0, 1, 1])


def test_waiting_is_not_hanging(start: Start, mortals: Any) -> None:
    """A stage may wait for inputs, for room, and for the realtime clock as long as it likes."""
    scripts = line(2, latencies_ns=[3_000_000_000])
    devices = mortals(3, "realtime")
    runner = start(scripts, devices[:2], spares=devices[2:], item_deadline_s=DEADLINE_S)
    runner.push(x(0))
    check_next(runner, scripts, 0)
    assert [stage.restarts for stage in runner.stats().stages] == [0, 0]


def test_results_nobody_pops_are_no_reason_to_kill(start: Start, mortals: Any) -> None:
    scripts = line(2)
    devices = mortals(3)
    runner = start(
        scripts, devices[:2], spares=devices[2:], item_deadline_s=DEADLINE_S, output_queue_size=1
    )
    for value in range(12):
        runner.push(x(value))
    assert not threading.Event().wait(3 * DEADLINE_S)
    for item in range(12):
        check_next(runner, scripts, item)
    assert [stage.restarts for stage in runner.stats().stages] == [0, 0]


def test_a_hanging_device_that_cannot_be_killed(start: Start, tmp_path: Any) -> None:
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    scripts = line(1)
    scripts[0].gate_at, scripts[0].gate = 0, gate
    devices, spare = [local_device("stuck")], local_device("spare")
    runner = start(scripts, devices, spares=[spare], item_deadline_s=0.2)
    runner.push(x(0))
    with open(gate, "wb"), pytest.raises(PipelineBroken, match="did not go on with item 0"):
        runner.pop(timeout=30)
    runner.close()
    for device in (*devices, spare):
        device.close()
