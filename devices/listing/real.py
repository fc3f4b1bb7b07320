"""The real Edge TPUs attached to this machine, as far as the system tells; opens none.

**Not verified on hardware.**  The PCIe driver (apex, gasket) shows ``temp`` in thousandths of a
degree, ``status``, ``is_device_owned`` and ``device_owner`` in ``/sys/class/apex/apex_N``.  Of a
USB Accelerator the system knows whether its firmware was uploaded, and who has its node open.
"""

from __future__ import annotations

from pathlib import Path

from devices.coral import Attached, attached_edge_tpus
from devices.device import Link
from devices.listing.entry import Entry, State
from devices.listing.processes import PROC, open_files, program_of

_TYPES: dict[Link, str] = {"pcie": "pci", "usb": "usb"}


def real_edge_tpus(sys_root: Path = Path("/sys"), proc: Path = PROC) -> list[Entry]:
    """All of them, in the order and under the names that the runtime gives them."""
    attached = attached_edge_tpus(sys_root)
    if not attached:
        return []
    holders = {target: pid for pid, _, target in open_files(proc) if target.startswith("/dev/")}
    numbers: dict[Link, int] = {"pcie": 0, "usb": 0}
    found = []
    for device in attached:
        name = f"{_TYPES[device.link]}:{numbers[device.link]}"
        numbers[device.link] += 1
        found.append(_entry(device, name, sys_root, holders.get(str(device.node)), proc))
    return found


def _entry(device: Attached, name: str, sys_root: Path, owner: int | None, proc: Path) -> Entry:
    celsius = None
    dead = owned = False
    if device.link == "pcie":
        folder = sys_root / "class" / "apex" / device.node.name
        owner = owner or _number(folder / "device_owner") or None
        owned = _number(folder / "is_device_owned") == 1
        dead = "DEAD" in _text(folder / "status").upper()
        millicelsius = _number(folder / "temp")
        celsius = None if millicelsius is None else millicelsius / 1000
    state: State = "busy" if owned or owner is not None else "DFU" if device.dfu else "ready"
    return Entry(
        name,
        "real",
        device.link,
        device.path,
        "dead" if dead else state,
        temperature_c=celsius,
        pid=owner,
        program_pid=owner,
        program=program_of(owner, proc),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None
