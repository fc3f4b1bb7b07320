"""Not waiting for ever for a device."""

from __future__ import annotations

import threading
from typing import Any

from devices.device import Device
from devices.errors import DeviceDied, DeviceError


class Watchdog:
    """Closes a device that does not answer in time, which ends the call with ``DeviceDied``."""

    def __init__(self, device: Device, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._device = device
        self._fired = threading.Event()
        self._timer = threading.Timer(timeout_s, self._fire)
        self._timer.daemon = True

    def _fire(self) -> None:
        self._fired.set()
        self._device.close()

    def __enter__(self) -> Watchdog:
        self._timer.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self._timer.cancel()
        if self._fired.is_set() and isinstance(error, DeviceError):
            raise DeviceDied(
                f"{self._device.name} gave no answer for {self._timeout_s:g} seconds and was "
                "stopped",
                device=self._device.name,
            ) from error
