"""Google's runtime, libedgetpu, through its C interface (``edgetpu_c.h``).

Its functions run in the process that calls them, and may hang (25 tries of a second each to open
a stick) or end it (a fatal USB error is an abort): so only device processes use this module.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass

from devices.coral.failures import why_not_loadable
from devices.device import Link
from devices.errors import DeviceError

LIBRARY = "libedgetpu.so.1"
SIMULATED_MARK = "edgetpu-pipeline"
"""In the version of this project's own library of that name, whose devices are simulated."""

_LINKS: tuple[Link, ...] = ("pcie", "usb")
"""By ``enum edgetpu_device_type``."""


class _Device(ctypes.Structure):
    """``struct edgetpu_device``."""

    _fields_ = (("type", ctypes.c_int), ("path", ctypes.c_char_p))


class _Option(ctypes.Structure):
    """``struct edgetpu_option``."""

    _fields_ = (("name", ctypes.c_char_p), ("value", ctypes.c_char_p))


@dataclass(frozen=True)
class ListedDevice:
    """How a device is attached, and the path the library opens it by."""

    link: Link
    path: str


class EdgeTpuLibrary:
    """libedgetpu, loaded into this process."""

    def __init__(self, library: str = LIBRARY) -> None:
        """Load it.  Raises ``DeviceError`` saying why it cannot be, and what to do."""
        try:
            self._calls = ctypes.CDLL(library)
        except OSError as error:
            raise DeviceError(why_not_loadable(library, str(error))) from None
        try:
            self._calls.edgetpu_list_devices.argtypes = (ctypes.POINTER(ctypes.c_size_t),)
            self._calls.edgetpu_list_devices.restype = ctypes.POINTER(_Device)
            self._calls.edgetpu_free_devices.argtypes = (ctypes.POINTER(_Device),)
            self._calls.edgetpu_free_devices.restype = None
            self._calls.edgetpu_create_delegate.argtypes = (
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.POINTER(_Option),
                ctypes.c_size_t,
            )
            self._calls.edgetpu_create_delegate.restype = ctypes.c_void_p
            self._calls.edgetpu_free_delegate.argtypes = (ctypes.c_void_p,)
            self._calls.edgetpu_free_delegate.restype = None
            self._calls.edgetpu_version.argtypes = ()
            self._calls.edgetpu_version.restype = ctypes.c_char_p
            self._calls.edgetpu_verbosity.argtypes = (ctypes.c_int,)
            self._calls.edgetpu_verbosity.restype = None
        except AttributeError as error:
            raise DeviceError(
                f"{library} is not Google's Edge TPU runtime, for a function is missing ({error}); "
                "install the package libedgetpu1-std"
            ) from None

    def version(self) -> str:
        """Such as ``BuildLabel(...), RuntimeVersion(14)``."""
        text: bytes | None = self._calls.edgetpu_version()
        return (text or b"").decode(errors="replace")

    def set_verbosity(self, level: int) -> None:
        """How much the library logs to standard error, from 0 to 10."""
        self._calls.edgetpu_verbosity(level)

    def devices(self) -> tuple[ListedDevice, ...]:
        """What is attached, in the library's order, open or not."""
        count = ctypes.c_size_t()
        listed = self._calls.edgetpu_list_devices(ctypes.byref(count))
        try:
            return tuple(
                ListedDevice(_LINKS[entry.type], (entry.path or b"").decode(errors="replace"))
                for entry in listed[: count.value]
                if entry.type in range(len(_LINKS))
            )
        finally:
            if listed:
                self._calls.edgetpu_free_devices(listed)

    def create_delegate(self, device: ListedDevice, options: Mapping[str, str]) -> int | None:
        """Open a device; the address of its ``TfLiteDelegate``, ``None`` if it cannot be opened.

        The library says why on standard error, if at all.
        """
        array = (_Option * len(options))()
        for option, (name, value) in zip(array, options.items(), strict=True):
            option.name, option.value = name.encode(), value.encode()
        delegate: int | None = self._calls.edgetpu_create_delegate(
            _LINKS.index(device.link), device.path.encode(), array, len(options)
        )
        return delegate

    def free_delegate(self, delegate: int) -> None:
        """Close the device behind a delegate that no interpreter uses any more."""
        self._calls.edgetpu_free_delegate(delegate)
