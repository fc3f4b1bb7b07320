"""Which real Edge TPUs there are, under names that hold while a program runs.

libedgetpu lists sticks whose firmware is not loaded before those whose is, and loads it when a
device is opened: so ``usb:0`` of its list is another stick after the first was opened.  Here a
device is known by its path, which stays, and keeps its place among the others once it was seen.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devices.coral.attached import attached_edge_tpus
from devices.coral.finding import find_library
from devices.coral.library import LIBRARY, SIMULATED_MARK, EdgeTpuLibrary, ListedDevice
from devices.device import Link
from devices.errors import DeviceDied, DeviceError
from devices.hosted import ask
from devices.nursery import explain_exit

LIST_S = 10.0
"""How long the library may take to list devices: a USB bus is read in milliseconds."""

_TYPES: dict[Link, str] = {"usb": "usb", "pcie": "pci"}
_log = logging.getLogger("edgetpu.coral")


@dataclass(frozen=True)
class CoralRecord:
    """One attached Edge TPU: its name, such as ``usb:0``, and the path that it is opened by."""

    name: str
    link: Link
    path: str


@dataclass(frozen=True)
class Survey:
    """What a machine has: the devices, and libedgetpu's version or why it could not be asked.

    ``version`` and ``problem`` are both ``None`` where no library is installed.
    """

    records: tuple[CoralRecord, ...]
    version: str | None = None
    problem: str | None = None


class OpenedCoral(Protocol):
    """A device of this process that is open: it is listed while the library does not see it."""

    @property
    def record(self) -> CoralRecord: ...

    @property
    def alive(self) -> bool: ...


def list_coral_devices(
    sys_root: Path = Path("/sys"), *, library: str = LIBRARY
) -> tuple[CoralRecord, ...]:
    """The Edge TPUs attached to this machine, in libedgetpu's order; opens none of them.

    Where the library is not installed or cannot be asked, which is logged, as the system lists
    them.  Names hold as long as this process: a device that was listed once keeps its place.
    """
    found = survey(sys_root, library=library)
    if found.problem is not None:
        _log.warning("%s", found.problem)
    return found.records


def survey(sys_root: Path = Path("/sys"), *, library: str = LIBRARY) -> Survey:
    """List the devices and say what the library says of itself; never raises for what it does."""
    problem = version = None
    listed: tuple[ListedDevice, ...] | None = None
    if find_library(library) is not None:
        try:
            version, listed = ask(f"{library} (list)", _list_and_version, library, within_s=LIST_S)
        except DeviceDied as death:
            problem = (
                f"{library} {_how(death)} when it was asked which devices there are; install the "
                "Edge TPU runtime again, and unplug and plug in the devices"
            )
        except DeviceError as error:
            problem = str(error)
    if listed is None:
        listed = tuple(
            ListedDevice(device.link, device.path) for device in attached_edge_tpus(sys_root)
        )
    return Survey(_order.arrange(listed), version, problem)


def is_real(version: str) -> bool:
    """Whether a version is that of Google's library, not of this project's simulated one."""
    return SIMULATED_MARK not in version


def remember_opened(device: OpenedCoral) -> None:
    """Have a device listed as long as it is alive."""
    _order.opened.add(device)


def _list_and_version(library: str) -> tuple[str, tuple[ListedDevice, ...]]:
    """Runs in a process of its own."""
    loaded = EdgeTpuLibrary(library)
    version = loaded.version()
    return version, loaded.devices() if is_real(version) else ()


def _how(death: DeviceDied) -> str:
    if death.exit_code is None:
        return f"did not answer within {LIST_S:g} s"
    return f"ended its process ({explain_exit(death.exit_code)})"


class _Order:
    """The places of devices in the order in which this process saw them first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, None] = {}
        self.opened: weakref.WeakSet[OpenedCoral] = weakref.WeakSet()

    def arrange(self, listed: Iterable[ListedDevice]) -> tuple[CoralRecord, ...]:
        links = {device.path: device.link for device in listed}
        for device in list(self.opened):
            if device.alive:
                links.setdefault(device.record.path, device.record.link)
        with self._lock:
            self._seen.update(dict.fromkeys(links))
            paths = [path for path in self._seen if path in links]
        numbers: dict[Link, int] = {"pcie": 0, "usb": 0}
        records = []
        for path in paths:
            link = links[path]
            records.append(CoralRecord(f"{_TYPES[link]}:{numbers[link]}", link, path))
            numbers[link] += 1
        return tuple(records)


_order = _Order()
