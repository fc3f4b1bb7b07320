"""Out of descriptors, memory, threads or processes while a device and its nursery start."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from devices import Deadlines, DeviceConfig, DeviceError, SimulatedDevice
from devices.nursery import client
from tests.devices.tiny_executables import read_tiny
from tests.starving import CALLS, starving
from tests.waiting import settled

FOR_EVER = 10**9
NEVER_S = 1e6
ROOT = Path(__file__).parents[2]


def use() -> None:
    """A device, one inference, the end."""
    never = Deadlines(start_s=NEVER_S, load_s=NEVER_S, run_s=NEVER_S)
    device = SimulatedDevice("starving", DeviceConfig(), read=read_tiny, deadlines=never)
    try:
        x = np.ones((1, 4), np.int8)
        outputs, _ = device.run(device.load("double").handle, {"x": x})  # type: ignore[arg-type]
        assert outputs["y"].tolist() == [[2, 2, 2, 2]]
    finally:
        device.close()


def belongings() -> tuple[int, list[str], list[int]]:
    """Descriptors, threads and processes, without those that have ended."""
    gc.collect()
    psutil.wait_procs(psutil.Process().children(), timeout=0)
    return (
        len(os.listdir("/proc/self/fd")),
        sorted(thread.name for thread in threading.enumerate()),
        [child.pid for child in psutil.Process().children()],
    )


def starve(what: str, last: int | None) -> int:
    """Try every moment; gives how often the device was refused.

    None of them is found by its taking too long: then this would take for ever.
    """
    client.START_S = client.FORK_S = NEVER_S
    use()
    before = belongings()
    first = refused = 0
    while True:
        with starving(what, first, last=last) as seen:
            try:
                use()
            except DeviceError:
                refused += 1
        assert settled(belongings, before) == before, seen.failed
        if not seen.failed:
            return refused
        first += 1


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("what", CALLS)
def test_every_call_may_fail(what: str, lasting: bool) -> None:
    """In a program of its own, where no nursery is there before."""
    last = FOR_EVER if lasting else None
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.devices.test_starvation import starve
print(starve({what!r}, {last}))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        timeout=800,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # A nursery that cannot be had once is replaced by another, or by a fresh interpreter.
    assert int(done.stdout) > 0 or not lasting
