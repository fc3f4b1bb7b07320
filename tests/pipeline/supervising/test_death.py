"""Device processes are killed at every place; nothing hangs, nothing finished is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from devices import DeviceDied, DeviceError, DevicePool, LocalDevice
from devices.hosted.process_device import ProcessDevice
from pipeline import PipelineBroken, PipelinedModelRunner
from tests.pipeline.conftest import mappings
from tests.pipeline.scripted import Script, ScriptedChip, line, local_device, process_device, whole
from tests.waiting import LONG_S, all_end

Start = Callable[..., PipelinedModelRunner]


def x(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value % 128, np.int8)}


@pytest.fixture
def mortals() -> Iterator[list[ProcessDevice]]:
    """Three device processes that may die."""
    with ExitStack() as stack:
        devices = [process_device(f"mortal:{i}") for i in range(3)]
        for device in devices:
            stack.callback(device.close)
        for device in devices:
            device.wait_ready()
        yield devices


@pytest.fixture
def gate(tmp_path: Path) -> str:
    path = str(tmp_path / "gate")
    os.mkfifo(path)
    return path


def broken_by(action: Callable[..., Any], *arguments: Any) -> PipelineBroken:
    """The exception that the action must raise."""
    with pytest.raises(PipelineBroken) as caught:
        action(*arguments)
    return caught.value


def popped(runner: PipelinedModelRunner) -> dict[str, Any]:
    outputs = runner.pop()
    assert outputs is not None
    return outputs


def pop_until_broken(runner: PipelinedModelRunner, scripts: list[Script]) -> tuple[int, Any]:
    """How many results came out, all right and in order, and what was raised behind them."""
    count = 0
    while True:
        try:
            outputs = runner.pop()
        except PipelineBroken as error:
            return count, error
        assert outputs is not None
        np.testing.assert_array_equal(outputs["y"], whole(scripts, x(count))["y"])
        count += 1


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_a_device_killed_in_the_middle_of_an_item(
    start: Start, mortals: list[ProcessDevice], gate: str, segment: int
) -> None:
    scripts = line(3)
    scripts[segment].gate_at, scripts[segment].gate = 5, gate
    # No deadline: it is by the death alone that anybody knows.
    runner = start(scripts, mortals, queue_size=1, input_queue_size=1, item_deadline_s=None)
    outcome: list[Exception] = []

    def push() -> None:
        try:
            for value in range(1000):
                runner.push(x(value))
        except Exception as error:
            outcome.append(error)

    pusher = threading.Thread(target=push)
    pusher.start()
    with open(gate, "wb"):  # opens when the chip is in item 5
        os.kill(mortals[segment].pid, signal.SIGKILL)
        pusher.join(LONG_S)
        count, error = pop_until_broken(runner, scripts)
    assert count == 5
    assert (error.segment, error.device) == (segment, f"mortal:{segment}")
    assert (error.exit_code, error.item) == (-9, 5)
    for part in ("SIGKILL", f"segment {segment} of 3", f"'mortal:{segment}'", "item 5 in work"):
        assert part in str(error)
    assert isinstance(error.__cause__, DeviceDied)
    assert len(outcome) == 1
    for raised in (outcome[0], broken_by(runner.push, x(1))):
        assert isinstance(raised, PipelineBroken)
        assert (raised.segment, raised.item) == (segment, 5)
    assert broken_by(runner.pop).item == 5
    assert [stage.counters.item_in_work for stage in runner.stats().stages][segment] == 5
    runner.close()
    runner.close()
    assert broken_by(runner.pop).segment == segment


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_a_chip_that_takes_its_process_along(
    start: Start, mortals: list[ProcessDevice], segment: int
) -> None:
    scripts = line(3)
    scripts[segment].die_at = 7
    with start(scripts, mortals) as runner:
        for value in range(30):
            try:
                runner.push(x(value))
            except PipelineBroken:
                break
        count, error = pop_until_broken(runner, scripts)
    assert (count, error.item, error.segment) == (7, 7, segment)


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_an_idle_device_killed_under_a_waiting_pop(
    start: Start, mortals: list[ProcessDevice], segment: int
) -> None:
    runner = start(line(3), mortals)
    runner.push(x(0))
    assert runner.pop() is not None
    raised: list[PipelineBroken] = []

    def pop() -> None:
        raised.append(broken_by(runner.pop))

    threads = [threading.Thread(target=pop) for _ in range(2)]
    for thread in threads:
        thread.start()
    os.kill(mortals[segment].pid, signal.SIGKILL)
    for thread in threads:
        thread.join(LONG_S)
    assert [(error.segment, error.item) for error in raised] == [(segment, None)] * 2
    assert "while it was idle" in str(raised[0])


def test_results_kept_back_by_a_narrow_output_queue_are_not_lost(
    start: Start, mortals: list[ProcessDevice], gate: str
) -> None:
    """The first stage dies; what it had published is still worked off behind it."""
    scripts = line(3)
    scripts[0].gate_at, scripts[0].gate = 6, gate
    runner = start(scripts, mortals, queue_size=2, output_queue_size=1)
    for value in range(20):
        runner.push(x(value))
    with open(gate, "wb"):
        os.kill(mortals[0].pid, signal.SIGKILL)
        count, error = pop_until_broken(runner, scripts)
    assert (count, error.item) == (6, 6)


@pytest.mark.usefixtures("patient_ends")
def test_closing_after_a_death_with_results_nobody_pops(
    start: Start, mortals: list[ProcessDevice], gate: str
) -> None:
    """Closing does not wait for room in the output queue; what came out can be popped after."""
    scripts = line(3)
    scripts[1].gate_at, scripts[1].gate = 6, gate
    runner = start(scripts, mortals, queue_size=2, output_queue_size=1)
    pushing = threading.Thread(target=lambda: [runner.push(x(value)) for value in range(7)])
    pushing.start()
    for value in range(3):
        np.testing.assert_array_equal(popped(runner)["y"], whole(scripts, x(value))["y"])
    with open(gate, "wb"):
        os.kill(mortals[1].pid, signal.SIGKILL)
        pushing.join()
        runner.close()
    for value in range(3, 6):
        np.testing.assert_array_equal(popped(runner)["y"], whole(scripts, x(value))["y"])
    error = broken_by(runner.pop)
    assert (error.item, error.finished) == (6, 6)
    assert "push from item 6 on again" in str(error)


def test_death_after_the_end_was_announced(
    start: Start, mortals: list[ProcessDevice], gate: str
) -> None:
    scripts = line(3)
    scripts[1].gate_at, scripts[1].gate = 2, gate
    with start(scripts, mortals) as runner:
        for value in range(4):
            runner.push(x(value))
        runner.push({})
        with open(gate, "wb"):
            os.kill(mortals[1].pid, signal.SIGKILL)
            count, error = pop_until_broken(runner, scripts)
        assert (count, error.segment, error.item) == (2, 1, 2)


def test_death_after_everything_came_out_is_no_error(
    start: Start, mortals: list[ProcessDevice]
) -> None:
    with start(line(3), mortals) as runner:
        runner.push(x(0))
        runner.push({})
        assert runner.pop() is not None
        assert runner.pop() is None
        os.kill(mortals[1].pid, signal.SIGKILL)
        assert runner.pop() is None


def test_several_devices_killed_at_once(start: Start, mortals: list[ProcessDevice]) -> None:
    runner = start(line(3), mortals, queue_size=1)
    for device in mortals:
        os.kill(device.pid, signal.SIGKILL)
    error = broken_by(runner.pop)
    assert error.exit_code == -9
    runner.close()


def test_devices_closed_under_a_running_pipeline(start: Start) -> None:
    devices = [local_device(f"local:{i}") for i in range(2)]
    runner = start(line(2), devices)
    runner.push(x(0))
    assert runner.pop() is not None
    devices[0].close()
    error = broken_by(runner.pop)
    assert error.segment == 0
    assert "is closed" in str(error)
    runner.close()
    devices[1].close()


def test_a_stage_that_leaves_without_a_word(start: Start, gate: str) -> None:
    """Its neighbour misses it; after a moment without any reason given, the pipeline breaks."""
    hour = line(3, latencies_ns=[0])
    hour[1] = Script(hour[1].inputs, hour[1].outputs, [3_600_000_000_000], gate_at=0, gate=gate)
    devices = [local_device(f"local:{i}", "realtime") for i in range(3)]
    runner = start(hour, devices)
    runner.push(x(0))
    runner.push({})
    with open(gate, "wb"):
        pass  # the stage now waits for the hour to pass, until its device is closed
    devices[1].close()
    error = broken_by(runner.pop)
    assert (error.segment, error.item, error.exit_code) == (1, 0, None)
    assert "before the end of the stream" in str(error)
    runner.close()
    for device in devices:
        device.close()


@pytest.mark.usefixtures("patient_ends")
def test_a_device_that_dies_during_construction(
    start: Start, leaves_nothing: Callable[[], Any]
) -> None:
    class Dying(LocalDevice):
        def start_program(self, *arguments: Any, **options: Any) -> Any:
            raise DeviceDied("device last died", device="last")

    devices = [local_device("first"), Dying(ScriptedChip("last"))]
    with leaves_nothing():
        with pytest.raises(DeviceDied, match="device last died"):
            start(line(2), devices)
        assert [device.health().loaded for device in devices] == [0, 0]
    for device in devices:
        device.close()


def test_a_fault_of_the_host_thread_is_told(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(self: Any, items: Any) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("pipeline.host.sink.Sink._take", fault)
    runner = start(line(1))
    runner.push(x(0))
    with pytest.raises(DeviceError, match="its host thread failed: inside"):
        runner.pop()
    with pytest.raises(DeviceError, match="its host thread failed: inside"):
        runner.push(x(0))
    runner.close()
    assert "the pump of a pipeline failed" in caplog.text


def test_a_dead_device_is_refused(start: Start, mortals: list[ProcessDevice]) -> None:
    os.kill(mortals[1].pid, signal.SIGKILL)
    assert not mortals[1].health().alive
    with pytest.raises(DeviceError, match="mortal:1"):
        start(line(3), mortals)


def test_a_new_runner_takes_the_devices_that_live(
    start: Start, mortals: list[ProcessDevice], gate: str
) -> None:
    scripts = line(2)
    scripts[0].gate_at, scripts[0].gate = 3, gate
    pool = DevicePool.of(mortals)
    broken = start(scripts, mortals)
    for value in range(8):
        broken.push(x(value))
    with open(gate, "wb"):
        os.kill(mortals[0].pid, signal.SIGKILL)
        count, error = pop_until_broken(broken, scripts)
    assert count == error.item == 3
    broken.close()
    with start(line(2), pool) as runner:
        assert [device.name for device in runner.devices] == ["mortal:1", "mortal:2"]
        for value in range(count, 8):
            runner.push(x(value))
        for value in range(count, 8):
            outputs = runner.pop()
            assert outputs is not None
            np.testing.assert_array_equal(outputs["y"], whole(line(2), x(value))["y"])


def test_cancelling_while_a_chip_hangs(
    start: Start, mortals: list[ProcessDevice], gate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage cannot end, so the runner leaves it to its device and does not wait for ever."""
    monkeypatch.setattr("pipeline.running.GRACE_S", 0.2)
    scripts = line(3)
    scripts[1].gate_at, scripts[1].gate = 0, gate
    runner = start(scripts, mortals)
    runner.push(x(0))
    with open(gate, "wb"):
        runner.cancel()
        mortals[1].close()
    assert not psutil.pid_exists(mortals[1].pid)


@pytest.mark.usefixtures("patient_ends")
def test_death_leaves_nothing_behind(
    start: Start, leaves_nothing: Callable[[], Any], gate: str
) -> None:
    scripts = line(3)
    scripts[1].gate_at, scripts[1].gate = 4, gate
    with leaves_nothing():
        devices = [process_device(f"mortal:{i}") for i in range(3)]
        for device in devices:
            device.wait_ready()
        with start(scripts, devices) as runner:
            for value in range(9):
                runner.push(x(value))
            with open(gate, "wb"):
                os.kill(devices[1].pid, signal.SIGKILL)
                assert pop_until_broken(runner, scripts)[0] == 4
        for device in devices:
            device.close()
        del runner, device, devices


@pytest.mark.usefixtures("patient_ends")
@pytest.mark.parametrize("how", ["close", "cancel", "drop"])
def test_ordinary_ends_leave_nothing_behind(
    start: Start,
    tmp_path: Path,
    leaves_nothing: Callable[[], Any],
    how: str,
) -> None:
    paths = [s.write(tmp_path / f"{i}.json") for i, s in enumerate(line(2))]
    with leaves_nothing():
        devices = [process_device(f"d:{i}") for i in range(2)]
        for device in devices:
            device.wait_ready()
        with leaves_nothing():
            runner = PipelinedModelRunner(paths, devices)
            for value in range(20):
                runner.push(x(value))
            if how == "close":
                runner.close()
                assert len(list(iter(runner.pop, None))) == 20
            elif how == "cancel":
                runner.cancel()
            del runner
            assert [device.health().loaded for device in devices] == [0, 0]
        for device in devices:
            device.close()
        del device, devices


def test_shared_memory_has_no_name(start: Start, mortals: list[ProcessDevice]) -> None:
    """What has no name cannot be left in /dev/shm, however the processes end."""
    with start(line(3), mortals) as runner:
        runner.push(x(1))
        runner.pop()
        for pid in (os.getpid(), *[device.pid for device in mortals]):
            shared = [file for file in mappings(pid) if "memfd:edgetpu-pipeline" in file]
            assert shared
            assert all(file.endswith("(deleted)") for file in shared)
            assert not [file for file in mappings(pid) if "/dev/shm" in file]


def test_the_host_s_own_death_ends_the_devices(tmp_path: Path) -> None:
    """A runner forgotten at exit does not delay the exit; a killed host leaves no orphans."""
    program = tmp_path / "program.py"
    program.write_text(
        """
import sys
from pathlib import Path
import numpy as np
from pipeline import PipelinedModelRunner
from tests.pipeline.conftest import mappings
from tests.pipeline.scripted import line, process_device
devices = [process_device(f"d:{i}") for i in range(2)]
paths = [s.write(Path(sys.argv[1]) / f"{i}.json") for i, s in enumerate(line(2))]
runner = PipelinedModelRunner(paths, devices)
for _ in range(50):
    runner.push({"x": np.zeros((1, 4), np.int8)})
print(*[device.pid for device in devices], flush=True)
if sys.argv[2] == "wait":
    sys.stdin.read()
"""
    )
    root = Path(__file__).parents[3]
    for how in ("exit", "wait"):
        host = subprocess.Popen(
            [sys.executable, str(program), str(tmp_path), how],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        assert len(pids) == 2
        if how == "wait":
            host.kill()
        _, errors = host.communicate(timeout=LONG_S)
        assert errors == b""
        assert all_end(pids)
