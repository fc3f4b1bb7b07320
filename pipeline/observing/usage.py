"""What a process takes from the machine: memory and CPU time, as the system tells."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from devices.device import Device

HOST = "host"
"""The name under which the program's own process is listed."""


@dataclass(frozen=True)
class ProcessUse:
    """One process: ``name`` is the device's, or ``"host"``.

    ``cpu_s`` is CPU time used since its start, in user and system mode, and ``cpu_percent`` the
    share of one CPU that makes.  ``cpus`` are those it may run on (empty where the system does
    not tell).
    """

    name: str
    pid: int
    rss_bytes: int
    cpu_s: float
    cpu_percent: float
    cpus: tuple[int, ...] = ()


def process_use(devices: Sequence[Device]) -> tuple[ProcessUse, ...]:
    """The host and every device process that lives; devices inside the host are not listed."""
    listed: dict[int, str] = {os.getpid(): HOST}
    for device in devices:
        pid = getattr(device, "pid", None)  # the protocol has it only in health(), which may hang
        listed.setdefault(device.health().pid or os.getpid() if pid is None else pid, device.name)
    measured = (_measure(pid, name) for pid, name in listed.items())
    return tuple(use for use in measured if use is not None)


def _measure(pid: int, name: str) -> ProcessUse | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            lived_s = max(time.time() - process.create_time(), 1e-9)
            cpu_s = times.user + times.system
            affinity = getattr(process, "cpu_affinity", list)  # macOS has none
            return ProcessUse(
                name=name,
                pid=pid,
                rss_bytes=process.memory_info().rss,
                cpu_s=cpu_s,
                cpu_percent=100 * cpu_s / lived_s,
                cpus=tuple(affinity()),
            )
    except psutil.Error:  # it has ended
        return None
