"""Sticks without firmware, sticks that are pulled out, and transfers that fail for good."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import ConfigError, DeviceConfig, DeviceDied, DeviceError, DevicePool, Fault
from devices.chip.constants import FIRMWARE_UPLOAD_NS
from devices.endings import UNPLUGGED_EXIT
from devices.listing import simulated_edge_tpus
from devices.simulated import SimulatedDevice
from tests.devices.tiny_executables import read_tiny

INPUT = {"x": np.zeros((1, 4), np.int8)}


@pytest.fixture
def make() -> Iterator[Any]:
    pools: list[DevicePool] = []

    def make(**fields: Any) -> tuple[DevicePool, SimulatedDevice]:
        device = SimulatedDevice("usb:0", DeviceConfig(compute="none", **fields), read=read_tiny)
        pools.append(DevicePool.of([device]))
        return pools[-1], device

    yield make
    for pool in pools:
        pool.close()


def shown(device: SimulatedDevice) -> tuple[str, str]:
    """State and path, as ``lstpu`` has them."""
    (entry,) = [entry for entry in simulated_edge_tpus() if entry.pid == device.pid]
    return entry.state, entry.path


def test_the_first_inference_uploads_the_firmware(make: Any) -> None:
    taken = []
    for dfu in (False, True):
        _, device = make(dfu=dfu)
        assert shown(device)[0] == ("DFU" if dfu else "ready")
        handle = device.load(Path("double")).handle
        assert shown(device)[0] == "ready"
        taken.append([device.run(handle, INPUT)[1] for _ in range(3)])
    (plain, *later), (first, *others) = taken
    assert first.overhead_ns == plain.overhead_ns + FIRMWARE_UPLOAD_NS
    assert first.total_ns == plain.total_ns + FIRMWARE_UPLOAD_NS
    assert others == later


def test_cards_have_no_firmware() -> None:
    with pytest.raises(ConfigError, match="dfu of a device is True, but only devices at USB have"):
        DeviceConfig(link="pcie", dfu=True)


def test_a_failed_transfer_aborts_the_process_as_libedgetpu_does(make: Any) -> None:
    pool, device = make(faults=(Fault("transfer", 2),))
    handle = device.load(Path("double")).handle
    device.run(handle, INPUT)
    with pytest.raises(DeviceDied, match=r"Bulk-in failed\. Abort, as its configured fault asks"):
        device.run(handle, INPUT)
    assert device.exit_code == -signal.SIGABRT
    assert pool.restart(device).health().alive


@pytest.mark.parametrize(
    ("back_s", "words"),
    [
        (None, "is unplugged and stays so"),
        (3600, "is unplugged and is back 3600 s after it is"),
    ],
)
def test_a_stick_that_is_gone_cannot_be_started_anew(
    make: Any, back_s: float | None, words: str
) -> None:
    pool, device = make(faults=(Fault("unplug", 1, back_s=back_s),))
    with pytest.raises(DeviceDied, match="unplugged, as its configured fault asks"):
        device.run(device.load(Path("double")).handle, INPUT)
    assert device.exit_code == UNPLUGGED_EXIT
    for _ in range(2):
        with pytest.raises(DeviceError, match=words):
            pool.restart(device)


def test_a_stick_that_is_back_has_another_path(make: Any) -> None:
    pool, device = make(faults=(Fault("unplug", 1, back_s=0),))
    assert shown(device)[1] == "simulated/usb:0"
    with pytest.raises(DeviceDied):
        device.run(device.load(Path("double")).handle, INPUT)
    back = pool.restart(device)
    assert (back.name, shown(back)[1]) == ("usb:0", "simulated/usb:0/plug-1")
    back.kill()
    again = pool.restart(back)
    assert shown(again)[1] == "simulated/usb:0/plug-1", "only that its process died"


def test_when_it_is_back_has_to_be_a_time() -> None:
    with pytest.raises(ConfigError, match="back_s of a fault is -1 and must be a number of"):
        Fault("unplug", 1, back_s=-1)
