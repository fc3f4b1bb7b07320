"""The Edge TPUs of this process: which there are, which are open."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from devices.attached import EdgeTpu, attached_devices, select_device, with_performance
from devices.coral import CoralDevice, CoralRecord
from devices.device import Device
from devices.simulated import SimulatedDevice
from pycoral.opened_device import OpenedDevice

_NO_OPTIONS: Mapping[str, str] = {}


class EdgeTpus:
    """Opens each device once and shares it, as Google's runtime does with its contexts.

    A device that was opened stays open until the interpreter exits, when it ends itself.  A real
    one is taken at once, a simulated one starts its process when a model is first loaded on it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[EdgeTpu, OpenedDevice] = {}

    def present(self) -> tuple[EdgeTpu, ...]:
        """List the devices, open or not.  Raises ``ConfigError``."""
        return attached_devices()

    def open(self, device: str, options: Mapping[str, str] = _NO_OPTIONS) -> OpenedDevice:
        """Open, or share, the device a device string means.

        Of the ``options``, which must be checked, ``Performance`` has an effect where this opens a
        simulated device; one that is shared stays as it is.

        Raises:
            ValueError: there is no such device, with the reason as one sentence.
            DeviceError: a real device cannot be opened, with the reason.
        """
        with self._lock:
            record = select_device(device, self.present(), self._opened)
            if record not in self._opened:
                real = isinstance(record.source, CoralRecord)
                opened = OpenedDevice(
                    record.name,
                    partial(_start, record, options),
                    type=record.type,
                    simulated=not real,
                )
                if real:
                    opened.start()
                self._opened[record] = opened
            return self._opened[record]

    def close(self) -> None:
        """End every device that is running; interpreters on them need ``allocate_tensors``."""
        with self._lock:
            opened = list(self._opened.values())
            self._opened.clear()
        for device in opened:
            device.close()


def _start(record: EdgeTpu, options: Mapping[str, str], earlier_starts: int) -> Device:
    if isinstance(record.source, CoralRecord):
        return CoralDevice(record.source)
    config = with_performance(record.source, options)
    if earlier_starts:  # faults happen once: a device that is started again is a new one
        config = replace(config, faults=())
    return SimulatedDevice(record.name, config)


_of_this_process = EdgeTpus()


def edge_tpus() -> EdgeTpus:
    """Give the Edge TPUs of this process."""
    return _of_this_process


def _start_afresh() -> None:
    """A forked child opens devices of its own: its parent's obey the parent alone."""
    global _of_this_process
    _of_this_process = EdgeTpus()


os.register_at_fork(after_in_child=_start_afresh)
