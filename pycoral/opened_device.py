"""A device this process has open: started when first needed, started again if it died."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from devices.attached import DeviceType
from devices.device import Device, Loaded, Tensor, Timing
from devices.errors import DeviceDied

_log = logging.getLogger("pycoral")


class OpenedDevice:
    """One Edge TPU, shared by every interpreter that was opened on it.

    ``start`` makes the device and is given the number of starts before; it is called when the
    device is first needed, and again when it turns out to be dead when a model is loaded on it, as
    if the user had replugged it.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[int], Device],
        *,
        type: DeviceType = "usb",
        simulated: bool = True,
    ) -> None:
        self.name = name
        self.type: DeviceType = type
        self.simulated = simulated
        self._make = start
        self._starts = 0
        self._lock = threading.Lock()
        self._device: Device | None = None
        # Handles nobody holds any more.  A finalizer runs wherever the garbage collector happens
        # to, perhaps inside a call to this very device, so it must not call the device itself.
        self._forgotten: deque[int] = deque()

    def start(self) -> None:
        """Start the device unless it was started before.  Raises ``DeviceError``."""
        with self._lock:
            if self._device is None:
                self._start()

    def load(self, executable: Path) -> LoadedModel:
        """Register an executable file.

        Raises:
            ModelError: the device cannot use the file.
            DeviceError: the device cannot start; ``DeviceDied`` if it dies during loading.
        """
        with self._lock:
            if self._device is not None:
                try:
                    return self._load_on(self._device, executable)
                except DeviceDied as death:
                    _log.warning("%s; starting it again", death)
                    self._device.close()
            return self._load_on(self._start(), executable)

    def holds(self, model: LoadedModel) -> bool:
        """Whether ``model`` can be run: its device is neither dead nor replaced."""
        with self._lock:
            return model.device is self._device and model.device.health().alive

    def close(self) -> None:
        """End the device; a later :meth:`load` starts it again."""
        with self._lock:
            device, self._device = self._device, None
        if device is not None:
            device.close()

    def _start(self) -> Device:
        self._forgotten = deque()
        self._device = None
        self._device = self._make(self._starts)
        self._starts += 1
        return self._device

    def _load_on(self, device: Device, executable: Path) -> LoadedModel:
        while self._forgotten:
            device.unload(self._forgotten.popleft())
        model = LoadedModel(device, device.load(executable))
        last_use = weakref.finalize(model, self._forgotten.append, model.loaded.handle)
        last_use.atexit = False
        return model


class LoadedModel:
    """An executable registered on a device; forgotten there once nobody holds this object."""

    def __init__(self, device: Device, loaded: Loaded) -> None:
        self.device = device
        self.loaded = loaded

    def run(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Timing]:
        """One inference.  Raises ``TensorError``, ``DeviceError``, ``DeviceDied``."""
        return self.device.run(self.loaded.handle, tensors)

    def reset(self) -> None:
        """Begin with a fresh state.  Raises ``DeviceError``, ``DeviceDied``."""
        self.device.reset(self.loaded.handle)
