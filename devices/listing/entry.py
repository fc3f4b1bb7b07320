"""One Edge TPU in a list, real or simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from devices.device import Link

State = Literal["DFU", "ready", "busy", "stopped", "dead"]
"""``DFU``: a stick before its firmware is uploaded; ``busy``: it works, or worked within the last
second, and of a real one that a process has it open; ``stopped``: its process is; ``dead``: its
driver has given it up."""


@dataclass(frozen=True)
class Entry:
    """What is known of a device; ``None`` where nobody tells.

    ``name`` is what it is called where it is used, ``path`` where the system has it.  ``busy_ns``
    of ``age_ns`` it was busy, on its own clock since its first inference; ``utilization`` is their
    ratio.  ``caching_token`` belongs to the parameters on the chip, of which there are
    ``memory_used_bytes``.  ``pid`` is its process and ``program_pid`` the program that uses it.
    """

    name: str
    kind: Literal["real", "simulated"]
    link: Link
    path: str
    state: State
    host: str | None = None
    clock: str | None = None
    temperature_c: float | None = None
    clock_mhz: int | None = None
    caching_token: int | None = None
    memory_used_bytes: int | None = None
    memory_bytes: int | None = None
    loaded: int | None = None
    inferences: int | None = None
    busy_ns: int | None = None
    age_ns: int | None = None
    utilization: float | None = None
    pid: int | None = None
    program_pid: int | None = None
    program: str | None = None
