"""The real Edge TPUs attached to this machine, as far as the system tells; opens none.

**Not verified on hardware.**  The PCIe driver (apex, gasket) shows ``temp`` in thousandths of a
degree, ``status``, ``is_device_owned`` and ``device_owner`` in ``/sys/class/apex/apex_N``.  Of a
USB Accelerator the system knows whether its firmware was uploaded, by its ids; and who has its node
in ``/dev/bus/usb`` open.
"""

from __future__ import annotations

from pathlib import Path

from devices.coral import CoralRecord, list_coral_devices
from devices.listing.entry import Entry, State
from devices.listing.processes import PROC, open_files, program_of

_DFU_VENDOR = "1a6e"
"""Google: Global Unichip's id, which a stick has until its firmware is uploaded."""


def attached_edge_tpus(sys_root: Path = Path("/sys"), proc: Path = PROC) -> list[Entry]:
    """All of them, PCIe first, as :func:`devices.coral.list_coral_devices` names them."""
    records = list_coral_devices(sys_root)
    if not records:
        return []
    holders = {target: pid for pid, _, target in open_files(proc) if target.startswith("/dev/")}
    return [
        _pcie(record, sys_root, holders, proc)
        if record.link == "pcie"
        else _usb(record, holders, proc)
        for record in records
    ]


def _pcie(record: CoralRecord, sys_root: Path, holders: dict[str, int], proc: Path) -> Entry:
    folder = sys_root / "class" / "apex" / Path(record.path).name
    owner = holders.get(record.path) or _number(folder / "device_owner")
    owned = owner is not None or _number(folder / "is_device_owned") == 1
    state: State = "busy" if owned else "ready"
    if "DEAD" in _text(folder / "status").upper():
        state = "dead"
    millicelsius = _number(folder / "temp")
    return Entry(
        record.name,
        "real",
        "pcie",
        record.path,
        state,
        temperature_c=None if millicelsius is None else millicelsius / 1000,
        pid=owner,
        program_pid=owner,
        program=program_of(owner, proc),
    )


def _usb(record: CoralRecord, holders: dict[str, int], proc: Path) -> Entry:
    folder = Path(record.path)
    bus, device = _number(folder / "busnum"), _number(folder / "devnum")
    owner = holders.get(f"/dev/bus/usb/{bus or 0:03d}/{device or 0:03d}")
    state: State = "ready" if owner is None else "busy"
    if owner is None and _text(folder / "idVendor") == _DFU_VENDOR:
        state = "DFU"
    return Entry(
        record.name,
        "real",
        "usb",
        record.path,
        state,
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
    text = _text(path)
    try:
        number = int(text)
    except ValueError:
        return None
    return number if number or path.name in ("temp", "is_device_owned") else None
