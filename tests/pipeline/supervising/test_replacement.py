"""Device processes die, hang and lie under a running pipeline, and others take their places."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from devices import DeviceError, DevicePool
from devices.errors import ConfigError
from pipeline import InferenceError, PipelineBroken, PipelinedModelRunner
from pipeline.observing.statistics import StatisticsPage
from pipeline.supervising.seating import Seating
from tests.pipeline.scripted import (
    Script,
    fingerprint,
    line,
    local_device,
    process_device,
    tensor,
    whole,
)
from tests.pipeline.supervising.pushing import check_next, push_all, x
from tests.waiting import LONG_S

Start = Callable[..., PipelinedModelRunner]

BRANCHED = [
    Script([tensor("x")], [tensor("a"), tensor("b")]),
    Script([tensor("a")], [tensor("c")]),
    Script([tensor("b"), tensor("c"), tensor("x")], [tensor("y")]),
]


@pytest.mark.parametrize("clock", ["virtual", "realtime"])
def test_killed_at_random_moments(start: Start, mortals: Any, clock: Any) -> None:
    """First, last and middle stages, two at once, and successors too."""
    seeded = random.Random(3)
    devices = mortals(15, clock)
    scripts = BRANCHED
    for script in scripts:
        script.latencies_ns = [200_000 if clock == "realtime" else 1000]
    sizes = {"queue_size": 1, "output_queue_size": 1}  # so that there is still something to do
    runner = start(scripts, devices[:3], spares=devices[3:], **sizes)
    count = 400
    kills = {seeded.randrange(10, count - 20): seeded.choice([1, 1, 2]) for _ in range(8)}
    pushing = push_all(runner, count)
    for item in range(count):
        for device in seeded.sample(runner.devices, kills.get(item, 0)):
            device.kill()  # type: ignore[attr-defined]
        check_next(runner, scripts, item)
    assert runner.pop(timeout=30) is None
    pushing.join()
    stats = runner.stats()
    assert [stage.counters.items for stage in stats.stages] == [count] * 3
    assert sum(stage.restarts for stage in stats.stages) >= len(kills)
    runner.close()


def test_no_spare_left(start: Start, mortals: Any) -> None:
    """Everything finished before can still be popped; then a clear error."""
    devices = mortals(4)
    scripts = line(3)
    scripts[1].die_at = 5  # on every device anew: items 5 to 9 are those of the spare
    runner = start(scripts, devices[:3], spares=devices[3:])
    for value in range(30):
        try:
            runner.push(x(value))
        except PipelineBroken:
            break
    for item in range(10):
        check_next(runner, scripts, item)
    with pytest.raises(PipelineBroken, match="No device is left to replace it") as caught:
        runner.pop(timeout=30)
    assert (caught.value.segment, caught.value.item, caught.value.finished) == (1, 10, 10)
    assert caught.value.device == "mortal:3"
    runner.close()


def test_an_item_that_kills_its_devices_fails_alone(
    start: Start, mortals: Any, caplog: pytest.LogCaptureFixture
) -> None:
    devices = mortals(6)
    scripts = line(3)
    scripts[1].die_on = fingerprint(scripts[1], whole(scripts, x(7)))
    runner = start(scripts, devices[:3], spares=devices[3:], max_replays=2)
    pushing = push_all(runner, 12)
    for item in range(12):
        if item != 7:
            check_next(runner, scripts, item)
            continue
        with pytest.raises(InferenceError, match="lost 3 times, last") as caught:
            runner.pop(timeout=30)
        assert (caught.value.item, caught.value.segment) == (7, 1)
        assert caught.value.device == "mortal:5"
        assert "SIGKILL" in caught.value.cause
    assert runner.pop(timeout=30) is None
    pushing.join()
    stage = runner.stats().stages[1]
    assert (stage.restarts, stage.replays, stage.device) == (3, 2, "mortal:5")
    assert (stage.counters.items, stage.counters.failed_items) == (11, 1)
    runner.close()  # a takeover is told by its thread, which the items do not wait for
    messages = [record.getMessage() for record in caplog.records]
    assert sum("lost device" in m and "item 7 in work" in m for m in messages) == 3
    assert sum("took over segment 1" in m for m in messages) == 3


def test_death_while_the_end_passes(start: Start, mortals: Any) -> None:
    """The last item is out, the end is not: the successor passes it on."""
    devices = mortals(5)
    scripts = line(3)
    for victim in (0, 1):
        used = [device for device in devices if device.alive]
        runner = start(scripts, used[:3], spares=used[3:], output_queue_size=1)
        pushing = push_all(runner, 9)
        check_next(runner, scripts, 0)
        pushing.join()
        os.kill(used[victim].pid, signal.SIGKILL)
        for item in range(1, 9):
            check_next(runner, scripts, item)
        assert runner.pop(timeout=30) is None
        runner.close()
        assert not used[victim].health().alive  # which it may not have been needed to know


@pytest.mark.usefixtures("patient_ends")
def test_a_spare_that_is_dead_or_cannot_load_is_passed_over(start: Start, mortals: Any) -> None:
    devices = mortals(3)
    os.kill(devices[1].pid, signal.SIGKILL)
    assert not devices[1].health().alive
    closed = local_device("closed")
    closed.close()
    scripts = line(1)
    runner = start(scripts, devices[:1], spares=[devices[1], closed, devices[2]])
    runner.push(x(0))
    check_next(runner, scripts, 0)
    os.kill(devices[0].pid, signal.SIGKILL)
    runner.push(x(1))
    check_next(runner, scripts, 1)
    assert runner.devices == (devices[2],)
    runner.close()
    assert devices[2].health().loaded == 0


def test_the_rest_of_a_pool_are_spares(
    start: Start, mortals: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, where none is so slow to take over that another is tried beside it."""
    monkeypatch.setattr("pipeline.supervising.succession.HEDGE_S", LONG_S)
    devices = mortals(4)
    pool = DevicePool.of(devices)
    first, second = start(line(1), pool), start(line(1), devices[1:2])
    os.kill(devices[0].pid, signal.SIGKILL)
    first.push(x(0))
    check_next(first, line(1), 0)
    assert first.devices == (devices[2],)  # another pipeline uses devices[1]
    second.close()
    os.kill(devices[2].pid, signal.SIGKILL)
    first.push(x(1))
    check_next(first, line(1), 1)
    assert first.devices == (devices[1],)


@pytest.fixture
def one_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first stage to count a latency fails at it."""
    failed: list[int] = []
    count = StatisticsPage.count

    def fail_once(self: Any, latency_ns: int) -> None:
        if not failed:
            failed.append(1)
            raise ZeroDivisionError("a slip")
        count(self, latency_ns)

    monkeypatch.setattr(StatisticsPage, "count", fail_once)


def test_a_program_that_fails_on_a_living_device_starts_again_there(
    start: Start, one_slip: None
) -> None:
    runner = start(line(2))
    for item in range(3):
        runner.push(x(item))
        check_next(runner, line(2), item)
    assert sum(stage.restarts for stage in runner.stats().stages) == 1


def test_a_restart_is_counted_before_its_results_come_out(
    start: Start, one_slip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the thread that replaces the stage stands still right after starting it."""
    begin, looked = Seating.start, threading.Event()
    still: list[bool] = []

    def start_and_stand_still(self: Any, seat: Any, device: Any, loaded: Any) -> None:
        begin(self, seat, device, loaded)
        if seat.program:
            still.append(looked.wait(20))

    monkeypatch.setattr(Seating, "start", start_and_stand_still)
    runner = start(line(2))
    for item in range(3):
        runner.push(x(item))
        check_next(runner, line(2), item)
    restarts = sum(stage.restarts for stage in runner.stats().stages)
    looked.set()
    runner.close()
    assert restarts == 1
    assert still == [True]


def test_impossible_options_are_refused(start: Start) -> None:
    device, other = local_device("a"), local_device("b", "realtime")
    for options, words in (
        ({"max_replays": -1}, "max_replays is -1"),
        ({"max_replays": True}, "max_replays is True"),
        ({"item_deadline_s": 0}, "item_deadline_s is 0"),
        ({"item_deadline_s": "5"}, "item_deadline_s is '5'"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
        ({"spares": [device]}, "'a' is given as a spare and runs a stage"),
        ({"spares": [other]}, "'b' has the realtime clock"),
    ):
        with pytest.raises(ConfigError, match=words):
            start(line(1), [device], **options)
    device.close()
    other.close()


@pytest.mark.usefixtures("patient_ends")
def test_replacing_leaves_nothing_behind(start: Start, leaves_nothing: Callable[[], Any]) -> None:
    with leaves_nothing():
        devices = [process_device(f"mortal:{i}") for i in range(4)]
        for device in devices:
            device.wait_ready()
        with start(line(2), devices[:2], spares=devices[2:]) as runner:
            for item in range(20):
                if item in (5, 11):
                    runner.devices[item % 2].kill()  # type: ignore[attr-defined]
                runner.push(x(item))
                check_next(runner, line(2), item)
            assert sum(stage.restarts for stage in runner.stats().stages) == 2
        assert [d.health().loaded for d in devices if d.alive] == [0, 0]
        for device in devices:
            device.close()
        del runner, device, devices


# -- what becomes of items that fail -------------------------------------------------------------


def test_errors_are_returned_where_asked(start: Start) -> None:
    scripts = line(2)
    scripts[1].fail_at = [1]
    with start(scripts, on_error="return") as runner:
        for value in range(3):
            runner.push(x(value))
        check_next(runner, scripts, 0)
        error = runner.pop()
        assert isinstance(error, InferenceError)
        assert (error.item, error.segment, error.device) == (1, 1, "local:1")
        check_next(runner, scripts, 2)
        assert not list(runner.run([]))


def test_the_first_error_ends_the_stream_where_asked(start: Start) -> None:
    scripts = line(2)
    scripts[0].fail_at = [2, 4]
    runner = start(scripts, on_error="stop", output_queue_size=1)

    def push_until_refused() -> None:
        began = time.monotonic()
        for value in count():
            runner.push(x(value))
            if value < 2:
                check_next(runner, scripts, value)
            assert time.monotonic() < began + 60, f"{value} items were taken"

    with pytest.raises(InferenceError, match="Item 2 failed"):
        push_until_refused()
    with pytest.raises(InferenceError, match="Item 2 failed in segment 0"):
        runner.pop(timeout=30)
    for _ in range(2):
        assert runner.pop(timeout=30) is None
    with pytest.raises(InferenceError, match="Item 2 failed"):
        runner.push(x(0))
    runner.close()
    assert runner.pop() is None


def test_what_was_finished_before_the_error_is_popped(start: Start) -> None:
    scripts = line(3)
    scripts[1].fail_at = [5]
    runner = start(scripts, on_error="stop")
    for value in range(5):
        runner.push(x(value))
    runner.push(x(5))
    for item in range(5):
        check_next(runner, scripts, item)
    with pytest.raises(DeviceError, match="Item 5 failed in segment 1"):
        runner.pop(timeout=30)
    assert runner.pop(timeout=30) is None
    runner.close()
