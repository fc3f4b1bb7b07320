"""Every call to a device process ends, whatever became of the process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from devices import (
    ConfigError,
    Deadlines,
    DeviceConfig,
    DeviceDied,
    DeviceError,
    DevicePool,
    Fault,
    SimulatedDevice,
)
from tests.devices import device_programs as programs
from tests.devices.tiny_executables import read_tiny
from tests.waiting import LONG_S, gone, stop, until

INPUT = {"x": np.zeros((1, 4), np.int8)}
NEVER_S = 1e6
IMPATIENT = Deadlines(load_s=NEVER_S, run_s=NEVER_S, answer_s=0.3, stopped_s=0.3, close_s=0.3)
"""Of those who are stopped alone: who works may take its time."""


@pytest.fixture
def start() -> Iterator[Callable[..., SimulatedDevice]]:
    with ExitStack() as stack:

        def start(deadlines: Deadlines = IMPATIENT, **fields: Any) -> SimulatedDevice:
            device = SimulatedDevice(
                "usb:0", DeviceConfig(**fields), read=read_tiny, deadlines=deadlines
            )
            stack.callback(device.close)
            return device

        yield start


@pytest.mark.parametrize("call", ["load", "run"])
def test_a_stopped_device_is_killed_by_who_needs_it(
    start: Callable[..., SimulatedDevice], call: str
) -> None:
    device = start()
    handle = device.load(Path("double")).handle
    stop(device.pid)
    arguments = (Path("double"),) if call == "load" else (handle, INPUT)
    with pytest.raises(
        DeviceDied, match=rf"usb:0 \(process {device.pid}\) is stopped, so it was killed"
    ) as caught:
        getattr(device, call)(*arguments)
    assert caught.value.exit_code == -signal.SIGKILL
    assert not device.alive
    assert not psutil.pid_exists(device.pid)


def test_a_stopped_device_that_is_only_asked_for_something_goes_on(
    start: Callable[..., SimulatedDevice],
) -> None:
    device = start()
    handle = device.load(Path("double")).handle
    stop(device.pid)
    health = device.health()
    assert (health.alive, health.pid) == (False, device.pid)
    with pytest.raises(DeviceError, match="is stopped; kill it, or let it go on"):
        device.unload(handle)
    os.kill(device.pid, signal.SIGCONT)
    until(lambda: device.health().alive)
    until(lambda: (now := device.health()).alive and now.loaded == 0)  # as soon as it could


def test_a_hanging_device_is_killed_after_its_deadline(
    start: Callable[..., SimulatedDevice],
) -> None:
    device = start(Deadlines(run_s=0.3), faults=(Fault("hang", at=1),))
    handle = device.load(Path("double")).handle
    with pytest.raises(DeviceDied, match=r"did not answer 'run' within 0\.3 s, so it was killed"):
        device.run(handle, INPUT)
    with pytest.raises(DeviceDied, match="did not answer 'run'"):
        device.run(handle, INPUT)


def test_a_device_that_does_not_read_is_killed(start: Callable[..., SimulatedDevice]) -> None:
    device = start()
    exits: list[BaseException | None] = []
    handle = device.start_program(
        programs.echo_inbox, (), None, on_event=print, on_exit=exits.append
    )
    stop(device.pid)

    def fill() -> None:
        while True:
            handle.send(bytes(1 << 20))

    with pytest.raises(DeviceDied, match="is stopped, so it was killed"):
        fill()
    assert handle.join(LONG_S)
    assert isinstance(exits[0], DeviceDied)


def test_who_else_waits_for_a_killed_device_is_told(start: Callable[..., SimulatedDevice]) -> None:
    device = start()
    handle = device.load(Path("double")).handle
    stop(device.pid)
    errors: list[DeviceDied] = []

    def run() -> None:
        try:
            device.run(handle, INPUT)
        except DeviceDied as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 4
    assert all("is stopped" in str(error) for error in errors)


def test_a_pool_of_stopped_devices_closes() -> None:
    pool = DevicePool.simulated(8, compute="none", deadlines=IMPATIENT)
    pids = [device.pid for device in pool.devices]  # type: ignore[attr-defined]
    nursery = psutil.Process(pids[0]).ppid()
    assert nursery != os.getpid()
    for pid in (nursery, *pids):
        stop(pid)
    pool.close()
    assert all(gone(pid) for pid in pids)
    os.kill(nursery, signal.SIGCONT)  # it serves the other tests


@pytest.mark.parametrize("value", [0, -1, True, "1", float("inf"), float("nan"), None])
def test_impossible_deadlines_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="run_s of the deadlines of a device is"):
        Deadlines(run_s=value)
