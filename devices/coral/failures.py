"""Why a real Edge TPU cannot be used, and what to do: every cause behind "Failed to load delegate".

The library says nothing but that it failed; what was wrong is found by looking at the machine.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from devices.coral.attached import (
    SUPERSPEED_MBIT_PER_S,
    Attached,
    attached_edge_tpus,
    pci_without_driver,
    users_of,
)
from devices.coral.finding import built_for, find_library

INSTALL = "install the Edge TPU runtime (package libedgetpu1-std)"
UDEV_USB = (
    'SUBSYSTEM=="usb", ATTRS{idVendor}=="1a6e", GROUP="plugdev", MODE="0664"; '
    'SUBSYSTEM=="usb", ATTRS{idVendor}=="18d1", GROUP="plugdev", MODE="0664"'
)
UDEV_PCIE = 'SUBSYSTEM=="apex", MODE="0660", GROUP="apex"'

_GLIBC = re.compile(r"version [`']((?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found")
_MISSING = re.compile(r"(\S+): cannot open shared object file: No such file")


def why_not_loadable(library: str, error: str) -> str:
    """What the dynamic linker's message means, as one sentence with a remedy."""
    file = find_library(library)
    missing = _MISSING.search(error)
    version = _GLIBC.search(error)
    machine = built_for(file) if file else None
    if machine not in (None, platform.machine()):  # which the linker calls missing
        why = (
            f"{file} is built for {machine} and this is {platform.machine()}; install the package "
            "of this machine's architecture"
        )
    elif missing and missing[1] == library:
        why = f"there is no such file where the system looks for libraries; {INSTALL}"
    elif missing:
        why = (
            f"it needs {missing[1]}, which is missing; install the package that has it "
            "(libusb-1.0-0 has libusb-1.0.so.0)"
        )
    elif "wrong ELF class" in error:
        why = "it is built for 32 bits, or this Python is; install one for this Python"
    elif "invalid ELF header" in error or "file too short" in error:
        why = f"{file} is no shared library; {INSTALL} again"
    elif version:
        why = (
            f"it needs {version[1]}, which is newer than this system's; install a build of the "
            "runtime for this system, or a newer system"
        )
    elif "undefined symbol" in error:
        why = f"it does not fit the libraries it is built on; {INSTALL} for this system"
    elif "Permission denied" in error or "Operation not permitted" in error:
        why = (
            "it may not be read or mapped; check its permissions, and that its file system is not "
            "mounted noexec"
        )
    else:
        why = f"the system refuses it; {INSTALL} again"
    return f"{library} cannot be loaded: {why} ({' '.join(error.split())})"


def why_not_opened(
    path: str,
    listed: Callable[[], tuple[str, ...]],
    *,
    sys_root: Path = Path("/sys"),
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Why the library could not open the device at a path, as one sentence with a remedy.

    ``listed`` asks the library for the paths of what is attached now.
    """
    attached = {device.path: device for device in attached_edge_tpus(sys_root)}
    if path in attached and (why := why_unusable(attached[path], environment)):
        return why
    present = listed()
    if path not in present:
        others = f"attached now: {', '.join(present)}" if present else "no other is attached"
        return f"it is not attached any more ({others}); plug it in again, and list devices anew"
    return (
        "it is attached, and the library does not say more; a device can be open in one process "
        "only, so end other programs that use it; otherwise unplug it and plug it in again, into a "
        "port or hub that gives 900 mA"
    )


def why_none_attached(sys_root: Path = Path("/sys")) -> str:
    """Why no Edge TPU can be found, as one sentence with a remedy."""
    idle = pci_without_driver(sys_root)
    if idle:
        return (
            f"the Edge TPU at PCI address {', '.join(idle)} has no driver; install the package "
            "gasket-dkms and load it (modprobe apex)"
        )
    return (
        "no Edge TPU is attached: /sys/class/apex is empty (PCIe) and no USB device is 18d1:9302 "
        "or 1a6e:089a; attach one, or use simulated devices"
    )


def why_unusable(device: Attached, environment: Mapping[str, str] = os.environ) -> str:
    """What of a device that the system sees keeps this process from opening it; "" if nothing."""
    return _why_node(device) or _why_busy(device) or _why_slow(device, environment)


def _why_node(device: Attached) -> str:
    if not device.node.exists():
        return (
            f"its file {device.node} does not exist here; hand it into the container (all of "
            "/dev/bus/usb, for a stick gets another number once its firmware is loaded: "
            "-v /dev/bus/usb:/dev/bus/usb --device-cgroup-rule='c 189:* rmw'; "
            "--device /dev/apex_0)"
        )
    if os.access(device.node, os.R_OK | os.W_OK):
        return ""
    rule, group = (UDEV_USB, "plugdev") if device.link == "usb" else (UDEV_PCIE, "apex")
    return (
        f"you may not read and write {device.node}; join the group {group} (usermod -aG {group} "
        f"$USER, then log in again), and if it is not that group's, have udev give it to it "
        f"({rule} in /etc/udev/rules.d/99-edgetpu.rules, then plug it in again)"
    )


def _why_busy(device: Attached) -> str:
    users = users_of(device.node)
    if not users:
        return ""
    return (
        f"{' and '.join(users)} has it open, and a device can be open in one process only; end it, "
        "or use another device"
    )


def _why_slow(device: Attached, environment: Mapping[str, str]) -> str:
    speed = device.speed_mbit_per_s
    if speed is None or speed >= SUPERSPEED_MBIT_PER_S:
        return ""
    if "USB_FAIL_IF_SLOWER_THAN_SUPERSPEED" not in environment:
        return ""
    return (
        f"its USB link has {speed} Mbit/s and USB_FAIL_IF_SLOWER_THAN_SUPERSPEED is set; use a "
        "USB 3 port and cable, or unset the variable"
    )
