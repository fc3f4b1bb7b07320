"""Exclusive devices: one process of the machine at a time, and free again however that ends."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devices import ConfigError, DeviceConfig, DeviceError, DevicePool, SimulatedDevice
from devices.exclusive import exclusively

ROOT = Path(__file__).parents[2]
EXCLUSIVE = DeviceConfig(compute="none", exclusive=True)

Open = Callable[[str], SimulatedDevice]


@pytest.fixture
def open_device() -> Iterator[Open]:
    with ExitStack() as stack:

        def open_device(name: str) -> SimulatedDevice:
            device = SimulatedDevice(name, EXCLUSIVE)
            stack.callback(device.close)
            return device

        yield open_device


@pytest.fixture
def name() -> str:
    """No other program of this machine has it."""
    return f"usb:{uuid.uuid4().hex}"


def test_a_second_one_is_refused_until_the_first_ends(open_device: Open, name: str) -> None:
    first = open_device(name)
    open_device(f"{name}0")
    with pytest.raises(DeviceError) as refused:
        open_device(name)
    assert str(refused.value).startswith(
        f"device {name} is in use by process {first.pid}, and an Edge TPU belongs to one process "
        "at a time; "
    )
    assert first.health().alive
    first.close()
    second = open_device(name)
    second.kill()
    second.close()
    assert open_device(name).health().alive


def test_others_are_not_asked(open_device: Open, name: str) -> None:
    open_device(name)
    common = SimulatedDevice(name, DeviceConfig(compute="none"))
    assert common.health().alive
    common.close()


def test_a_pool_that_restarts_its_own_has_it_still(name: str) -> None:
    with DevicePool.of([SimulatedDevice(name, EXCLUSIVE)]) as pool:
        lost = pool.devices[0]
        assert isinstance(lost, SimulatedDevice)
        lost.kill()
        assert pool.restart(lost).health().alive


def test_another_program_is_refused(open_device: Open, name: str) -> None:
    first = open_device(name)
    program = (
        "from devices import *\n"
        f"try: SimulatedDevice({name!r}, DeviceConfig(compute='none', exclusive=True))\n"
        "except DeviceError as error: print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert told.stdout.startswith(f"device {name} is in use by process {first.pid}, ")
    assert told.stderr == ""


def test_what_cannot_be_made_or_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exclusively(name, lambda: 7) == 7
    with pytest.raises(DeviceError, match="in use by process"):
        exclusively(name, lambda: 8)
    with pytest.raises(DeviceError, match=r"device .* cannot be taken: .*too long"):
        exclusively(200 * "x", lambda: 9)
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(DeviceError, match="which needs Linux's abstract sockets; leave exclusive"):
        exclusively(name, lambda: 9)
    with pytest.raises(ConfigError, match="exclusive of a device is 1 and must be true or false"):
        DeviceConfig(exclusive=1)  # type: ignore[arg-type]
