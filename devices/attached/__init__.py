"""Which Edge TPUs a program sees, and which of them its device strings and options mean.

The rules are libedgetpu's, for its names (``usb:0``, ``:1``) are what Coral programs are written
with.  Everything that opens devices for such programs asks here: ``pycoral`` and the library that
stands in for libedgetpu.  Nothing is opened.
"""

from devices.attached.listing import (
    CLOCK_VARIABLE,
    DEFAULT,
    VARIABLE,
    EdgeTpu,
    attached_devices,
    simulated_devices,
)
from devices.attached.options import check_options, with_performance
from devices.attached.selection import DeviceType, select_device

__all__ = [
    "CLOCK_VARIABLE",
    "DEFAULT",
    "VARIABLE",
    "DeviceType",
    "EdgeTpu",
    "attached_devices",
    "check_options",
    "select_device",
    "simulated_devices",
    "with_performance",
]
