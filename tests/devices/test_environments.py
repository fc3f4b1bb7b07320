"""Devices start under hosts whose descriptors and signals are not what they usually are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, signal, sys
sys.path.insert(0, {root!r})
{setting}
import numpy as np
from devices import DeviceConfig, DeviceDied, SimulatedDevice
from tests.devices.tiny_executables import read_tiny
{way}
device = SimulatedDevice("usb:0", DeviceConfig(), read=read_tiny)
x = np.ones((1, 4), np.int8)
outputs, _ = device.run(device.load("double").handle, {{"x": x}})
assert outputs["y"].tolist() == [[2, 2, 2, 2]]
second = SimulatedDevice("usb:1", DeviceConfig(), read=read_tiny)
os.kill(device.pid, signal.SIGKILL)
try:
    device.load("double")
except DeviceDied as error:
    how = str(error).split(";")[0]
device.close()
second.close()
os.write(report, how.encode())
"""

SETTINGS = {
    "SIGCHLD ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "closed 0": "os.close(0)",
    "closed 1 and 2": "os.closerange(1, 3)",
    "closed 0, 1 and 2": "os.closerange(0, 3)",
    "a reaper": "def reap(*_):\n"
    "    try:\n"
    "        while os.waitpid(-1, os.WNOHANG)[0]: pass\n"
    "    except ChildProcessError: pass\n"
    "signal.signal(signal.SIGCHLD, reap)",
}


@pytest.mark.parametrize("way", ["nursery", "fresh"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_devices_start_and_their_end_is_told(setting: str, way: str, tmp_path: Path) -> None:
    report = tmp_path / "report"
    choice = (
        ""
        if way == "nursery"
        else ("from devices.nursery import start\nstart._possible = lambda: False")
    )
    opening = f"report = os.open({str(report)!r}, os.O_CREAT | os.O_WRONLY)\n"
    program = PROGRAM.format(root=str(ROOT), setting=opening + SETTINGS[setting], way=choice)
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )
    how = report.read_text()
    assert how.startswith("device usb:0 (process ")
    # With a fresh interpreter, the system itself forgets how a child ended whom nobody waits for.
    known = way == "nursery" or setting.startswith("closed")
    assert ("died: killed by SIGKILL" in how) if known else ("died:" in how)
