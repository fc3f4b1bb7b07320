"""A lost device is followed by another without luck: what stands in the way is waited out."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import devices.pool
from compiler import compile_segment, graph_from_bytes
from devices import Deadlines, DeviceError, DevicePool, SimulatedDevice
from pipeline import PipelineBroken, PipelinedModelRunner
from tests.waiting import LONG_S, stop
from zoo.random_graph import random_graph

Model = tuple[list[Path], dict[str, Any]]
DEADLINE_S = 2.0
"""An ``item_deadline_s`` that items of these models meet by far, also on a busy machine."""


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """Executables of three segments, in a directory of their own, and an input."""
    directory = tmp_path / "model"
    directory.mkdir()
    graph = graph_from_bytes(random_graph(11), "random.tflite")
    count = len(graph.operators)
    ends = [0, count // 3, 2 * count // 3, count]
    paths = []
    for index in range(3):
        paths.append(directory / f"{index}.tflite")
        paths[-1].write_bytes(compile_segment(graph, ends[index], ends[index + 1]).data)
    rng = np.random.default_rng(0)
    inputs = {}
    for index in graph.inputs:
        spec = graph.tensors[index]
        inputs[spec.name] = rng.integers(-128, 128, spec.shape).astype(spec.dtype)
    return paths, inputs


@pytest.fixture
def pool() -> Iterator[DevicePool]:
    """Nobody waits for devices of it by the clock, but for those that are stopped."""
    with DevicePool.simulated(3, deadlines=Deadlines(load_s=1e6, run_s=1e6, stopped_s=0.3)) as pool:
        yield pool


def kill(device: Any) -> None:
    os.kill(device.pid, signal.SIGKILL)


def run(runner: PipelinedModelRunner, inputs: dict[str, Any], first: Any = None) -> Any:
    """One item, which is as ``first`` was."""
    runner.push(inputs)
    outputs = runner.pop(timeout=60)
    assert outputs is not None
    for name, array in (first or {}).items():
        np.testing.assert_array_equal(outputs[name], array)
    return outputs


@pytest.mark.parametrize("gone", ["another directory", "removed", "overwritten"])
def test_the_files_of_a_running_pipeline_may_go(
    model: Model, pool: DevicePool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gone: str
) -> None:
    paths, inputs = model
    monkeypatch.chdir(paths[0].parent)
    with PipelinedModelRunner([path.name for path in paths], pool) as runner:
        first = run(runner, inputs)
        if gone == "another directory":
            monkeypatch.chdir("/")
        elif gone == "removed":
            shutil.rmtree(paths[0].parent)
        else:
            for path in paths:
                path.write_bytes(b"something else")
        for segment in range(3):
            kill(runner.devices[segment])
            run(runner, inputs, first)
        assert [stage.restarts for stage in runner.stats().stages] == [1, 1, 1]


def test_a_bad_executable_is_named_as_it_was_given(model: Model, pool: DevicePool) -> None:
    paths, _ = model
    data = bytearray(paths[1].read_bytes())
    data[len(data) // 2] ^= 1  # somewhere in the sealed part
    paths[1].write_bytes(data)
    with pytest.raises(ValueError, match=str(paths[1])) as caught:
        PipelinedModelRunner(paths, pool)
    assert "/proc/" not in str(caught.value)
    with pytest.raises(ValueError, match=r"absent\.tflite does not exist"):
        PipelinedModelRunner([paths[0].parent / "absent.tflite"], pool)


def test_two_pipelines_share_a_device_of_a_pool(model: Model, pool: DevicePool) -> None:
    """Whoever is first starts the device anew, and the other goes on there, too."""
    paths, inputs = model
    with (
        PipelinedModelRunner(paths, pool) as one,
        PipelinedModelRunner(paths, pool) as other,
    ):
        first = run(one, inputs)
        for _ in range(5):
            for segment in range(3):
                kill(pool.devices[segment])
                for runner in (one, other):
                    run(runner, inputs, first)
        assert one.devices == other.devices == pool.devices


def test_devices_that_cannot_be_started_for_a_while_are_waited_for(
    model: Model, pool: DevicePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, inputs = model
    failures = ["there is no room for another process"] * 9
    restart = pool.restart

    def fail(device: Any) -> Any:
        try:
            raise DeviceError(failures.pop())
        except IndexError:
            return restart(device)

    monkeypatch.setattr(pool, "restart", fail)
    with PipelinedModelRunner(paths, pool) as runner:
        first = run(runner, inputs)
        kill(runner.devices[1])
        run(runner, inputs, first)
    assert failures == []


def test_the_pipeline_breaks_with_the_reason_when_the_time_is_over(
    model: Model, pool: DevicePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, inputs = model

    def fail(device: Any) -> Any:
        raise DeviceError("there is no room for another process")

    monkeypatch.setattr(pool, "restart", fail)
    runner = PipelinedModelRunner(paths, pool, recovery_deadline_s=3)
    run(runner, inputs)
    kill(runner.devices[1])
    with pytest.raises(
        PipelineBroken,
        match=r"killed by SIGKILL.* Within 3 s nobody took over; the last that was tried "
        "failed: there is no room for another process",
    ):
        runner.pop(timeout=60)
    runner.close()


def test_a_replacement_that_starves_while_it_starts_keeps_nobody_waiting(
    model: Model, pool: DevicePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, inputs = model
    restart = pool.restart
    released, starving = threading.Event(), []
    late: list[Any] = []

    def starve(device: Any) -> Any:
        if not starving:
            starving.append(threading.current_thread())
            released.wait()
            late.append(pool.successor(device))  # as the pool does for whoever comes second
            return late[0]
        return restart(device)

    monkeypatch.setattr(pool, "restart", starve)
    with PipelinedModelRunner(paths, pool) as runner:
        first = run(runner, inputs)
        kill(runner.devices[1])
        run(runner, inputs, first)
        released.set()
        starving[0].join()
        run(runner, inputs, first)
        assert late == [runner.devices[1]]


def test_a_replacement_stopped_while_it_starts_is_given_up(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, inputs = model
    stopped: list[SimulatedDevice] = []
    most = 0

    class Stopping(SimulatedDevice):
        def __init__(self, *arguments: Any, wait: bool = True, **options: Any) -> None:
            super().__init__(*arguments, **options, wait=False)
            if len(stopped) < most:
                os.kill(self.pid, signal.SIGSTOP)
                stopped.append(self)
            if wait:
                self.wait_ready()

    monkeypatch.setattr(devices.pool, "SimulatedDevice", Stopping)
    with DevicePool.simulated(3) as pool, PipelinedModelRunner(paths, pool) as runner:
        first = run(runner, inputs)
        most = 2
        kill(runner.devices[1])
        run(runner, inputs, first)
        assert len(stopped) == 2
    for thread in threading.enumerate():
        if thread.name == "pipeline successor":
            thread.join()
    assert not any(device.alive for device in stopped)


def test_closing_a_pool_waits_for_the_process_it_is_just_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody knows it yet, and yet it is gone when the pool is closed."""
    pool_is_there, beginning, go_on = (threading.Event() for _ in range(3))
    made: list[SimulatedDevice] = []

    class Slow(SimulatedDevice):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if pool_is_there.is_set():
                beginning.set()
                assert go_on.wait(LONG_S)
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(devices.pool, "SimulatedDevice", Slow)
    monkeypatch.setattr(devices.pool, "BEGIN_S", LONG_S)
    pool = DevicePool.simulated(1, compute="none")
    pool_is_there.set()
    first = pool.devices[0]
    errors: list[Exception] = []

    def restart() -> None:
        try:
            pool.restart(first)
        except DeviceError as error:
            errors.append(error)

    starting = threading.Thread(target=restart)
    starting.start()
    assert beginning.wait(LONG_S)
    closing = threading.Thread(target=pool.close)
    closing.start()
    while pool.can_restart(first):  # until it is being closed
        threading.Event().wait(0.001)
    go_on.set()
    closing.join()
    assert [device.alive for device in made] == [False, False]
    starting.join()
    assert len(errors) <= 1  # none if it was ready before it was killed
    with pytest.raises(DeviceError, match="pool is closed"):
        pool.restart(first)
    assert len(made) == 2


def test_a_pool_that_is_closed_ends_what_it_was_starting(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: queue.SimpleQueue[SimulatedDevice] = queue.SimpleQueue()

    class Stopping(SimulatedDevice):
        def wait_ready(self) -> None:
            if pool_is_there.is_set():
                os.kill(self.pid, signal.SIGSTOP)
                begun.put(self)
            super().wait_ready()
            if pool_is_there.is_set():
                ready.append(self)

    ready: list[SimulatedDevice] = []
    pool_is_there = threading.Event()
    monkeypatch.setattr(devices.pool, "SimulatedDevice", Stopping)
    pool = DevicePool.simulated(1, compute="none", deadlines=Deadlines(stopped_s=600))
    pool_is_there.set()
    errors: list[Exception] = []

    def restart() -> None:
        try:
            pool.restart(pool.devices[0])
        except DeviceError as error:
            errors.append(error)

    thread = threading.Thread(target=restart)
    thread.start()
    device = begun.get()
    pool.close()
    thread.join()
    assert not device.alive
    assert errors or ready == [device], "it may have been ready before it was stopped"


def test_a_replacement_stopped_before_it_loads_is_given_up(
    model: Model, pool: DevicePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, inputs = model
    stopped: list[Any] = []
    restart = pool.restart

    def stop(device: Any) -> Any:
        fresh: Any = restart(device)
        if len(stopped) < 2:
            os.kill(fresh.pid, signal.SIGSTOP)
            stopped.append(fresh)
        return fresh

    monkeypatch.setattr(pool, "restart", stop)
    with PipelinedModelRunner(paths, pool, item_deadline_s=DEADLINE_S) as runner:
        first = run(runner, inputs)
        kill(runner.devices[1])
        run(runner, inputs, first)
    assert not any(device.alive for device in stopped)


def test_a_second_loss_does_not_wait_for_the_first(
    model: Model, pool: DevicePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, inputs = model
    restart = pool.restart
    second_took_over = threading.Event()

    def wait(device: Any) -> Any:
        if device.name == "usb:0":
            assert second_took_over.wait(LONG_S)
            return restart(device)
        fresh = restart(device)
        second_took_over.set()
        return fresh

    monkeypatch.setattr(pool, "restart", wait)
    with PipelinedModelRunner(paths, pool) as runner:
        first = run(runner, inputs)
        kill(runner.devices[0])
        kill(runner.devices[1])
        run(runner, inputs, first)
        assert [stage.restarts for stage in runner.stats().stages] == [1, 1, 0]


def test_cancelling_does_not_wait_for_a_recovery(
    model: Model, pool: DevicePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, inputs = model
    began, released = threading.Event(), threading.Event()

    def wait(device: Any) -> Any:
        began.set()
        released.wait()
        raise DeviceError("too late")

    monkeypatch.setattr(pool, "restart", wait)
    runner = PipelinedModelRunner(paths, pool)
    run(runner, inputs)
    kill(runner.devices[0])
    assert began.wait(LONG_S)
    runner.cancel()
    released.set()


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_a_pipeline_of_stopped_devices_ends(model: Model, pool: DevicePool, how: str) -> None:
    paths, inputs = model
    runner = PipelinedModelRunner(paths, pool, item_deadline_s=DEADLINE_S)
    first = run(runner, inputs)
    for device in runner.devices:
        stop(device.pid)  # type: ignore[attr-defined]
    runner.push(inputs)
    getattr(runner, how)()
    if how == "close":
        outputs = runner.pop(timeout=60)
        assert outputs is not None
        for name, array in first.items():
            np.testing.assert_array_equal(outputs[name], array)


@pytest.mark.usefixtures("patient_ends")
def test_a_stopped_device_does_not_keep_the_constructor_waiting(
    model: Model, pool: DevicePool
) -> None:
    paths, _ = model
    stop(pool.devices[1].pid)  # type: ignore[attr-defined]
    with pytest.raises(DeviceError, match=r"usb:1 .* is stopped, so it was killed"):
        PipelinedModelRunner(paths, pool)
    assert [device.health().loaded for device in pool.devices] == [0, 0, 0]
