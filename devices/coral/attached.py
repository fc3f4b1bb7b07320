"""The Edge TPUs that Linux sees, read from ``/sys``: without libedgetpu, and opening nothing.

USB sticks have the ids 1a6e:089a until the runtime has uploaded its firmware into them (DFU mode),
18d1:9302 afterwards; the place they are plugged in, which is their path, stays.  PCIe devices
are ``/dev/apex_N``, made by the kernel module apex (package gasket-dkms).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from devices.device import Link

DFU_IDS = ("1a6e", "089a")
APPLICATION_IDS = ("18d1", "9302")
PCI_IDS = ("0x1ac1", "0x089a")
SUPERSPEED_MBIT_PER_S = 5000
"""USB 3.0; a stick in a USB 2 port or cable has 480."""


@dataclass(frozen=True)
class Attached:
    """One Edge TPU as the system sees it.

    ``node`` is the file that who uses it must be able to read and write; ``speed_mbit_per_s`` is
    that of a USB link, ``None`` where it is not told; ``dfu``: its firmware is not loaded yet.
    """

    link: Link
    path: str
    node: Path
    speed_mbit_per_s: int | None = None
    dfu: bool = False


def attached_edge_tpus(sys_root: Path = Path("/sys")) -> tuple[Attached, ...]:
    """PCIe first, then USB; of those the ones in DFU mode first, as libedgetpu lists them.

    Among equals by their numbers, ``apex_2`` before ``apex_10``.
    """
    pcie = [
        Attached("pcie", f"/dev/{entry.name}", Path("/dev", entry.name))
        for entry in _entries(sys_root / "class" / "apex")
    ]
    usb = [stick for entry in _entries(sys_root / "bus/usb/devices") if (stick := _stick(entry))]
    return (*pcie, *sorted(usb, key=lambda stick: not stick.dfu))


def pci_without_driver(sys_root: Path = Path("/sys")) -> tuple[str, ...]:
    """PCI addresses of Edge TPUs that no kernel module serves."""
    return tuple(
        entry.name
        for entry in _entries(sys_root / "bus/pci/devices")
        if (_text(entry / "vendor"), _text(entry / "device")) == PCI_IDS
        and not (entry / "driver").exists()
    )


def numerically(text: str) -> list[tuple[int, str]]:
    """A sort key by which ``apex_2`` comes before ``apex_10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]


def users_of(node: Path, proc_root: Path = Path("/proc")) -> tuple[str, ...]:
    """Other processes that have a device file open, as ``python3 (process 12)``.

    Those of other users can be seen by root only.
    """
    found = []
    for process in _entries(proc_root):
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        try:
            links = [os.readlink(fd) for fd in (process / "fd").iterdir()]
        except OSError:  # of another user, or gone
            continue
        if str(node) in links:
            found.append(f"{_text(process / 'comm') or 'a program'} (process {process.name})")
    return tuple(found)


def _stick(entry: Path) -> Attached | None:
    ids = (_text(entry / "idVendor"), _text(entry / "idProduct"))
    if ids not in (DFU_IDS, APPLICATION_IDS):
        return None
    bus, number, speed = (_text(entry / name) for name in ("busnum", "devnum", "speed"))
    return Attached(
        "usb",
        str(entry),
        Path(f"/dev/bus/usb/{bus:0>3}/{number:0>3}"),
        int(speed) if speed.isdecimal() else None,
        ids == DFU_IDS,
    )


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir(), key=lambda entry: numerically(entry.name))
    except OSError:  # not on this system, or not to be read
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:  # an interface, not a device
        return ""
