"""The simulated Edge TPUs of all running programs of this user, from the pages they show."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from devices.listing.entry import Entry, State
from devices.listing.processes import PROC, is_stopped, open_files, program_of
from devices.status import NAME, ShownStatus, read_status

_LATELY_NS = 10**9


def simulated_edge_tpus(proc: Path = PROC) -> list[Entry]:
    """All of them, those of one program together, in the order of their names.

    Empty on systems without ``/proc``.
    """
    found = []
    for pid, descriptor, target in open_files(proc):
        if not target.startswith(f"/memfd:{NAME}"):
            continue
        try:
            memory = os.open(descriptor, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # it ended since
            continue
        try:
            shown = read_status(memory)
        except OSError:
            continue
        finally:
            os.close(memory)
        if shown is not None:
            with suppress(KeyError):  # of another version of this project
                found.append(_entry(shown, pid, proc))
    return sorted(found, key=lambda one: (one.program_pid or 0, _numbered(one.name)))


def _entry(shown: ShownStatus, pid: int, proc: Path) -> Entry:
    told = shown.description
    program_pid = told.get("program_pid") or None
    return Entry(
        name=told["name"],
        kind="simulated",
        link=told["link"],
        path=told["path"],
        state=_state(shown, is_stopped(pid, proc)),
        host=told["host"],
        clock=told["clock"],
        temperature_c=shown.celsius,
        clock_mhz=shown.clock_mhz,
        caching_token=shown.caching_token or None,
        memory_used_bytes=shown.cached_bytes,
        memory_bytes=told["memory_bytes"],
        loaded=shown.loaded,
        inferences=shown.inferences,
        busy_ns=shown.busy_ns,
        age_ns=shown.age_ns,
        utilization=shown.busy_ns / shown.age_ns if shown.age_ns else None,
        pid=pid,
        program_pid=program_pid,
        program=program_of(program_pid, proc),
    )


def _state(shown: ShownStatus, stopped: bool) -> State:
    if stopped:
        return "stopped"
    if shown.description["dfu"] and not (shown.loaded or shown.inferences):
        return "DFU"
    lately = shown.began_ns > 0 and time.monotonic_ns() - shown.began_ns < _LATELY_NS
    return "busy" if shown.working or lately else "ready"


def _numbered(name: str) -> tuple[str, int, str]:
    """``usb:10`` behind ``usb:9``."""
    link, _, number = name.partition(":")
    return link, int(number) if number.isdigit() else -1, name
