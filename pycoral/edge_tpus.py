"""The Edge TPUs of this process: which there are, which are open."""

from __future__ import annotations

import logging
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

_log = logging.getLogger("pycoral")

_NO_OPTIONS: Mapping[str, str] = {}


class EdgeTpus:
    """Opens each device once and shares it, as Google's runtime does with its contexts.

    A device that was opened stays open until the interpreter exits, when it ends itself.  A real
    one is taken at once, and so is a simulated one that is exclusive; others start their process
    when a model is first loaded on them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[EdgeTpu | str, OpenedDevice] = {}
        self._options: dict[EdgeTpu | str, Mapping[str, str]] = {}
        self.verbosity = 0
        """Of the libraries of real devices that are opened from now on."""

    def present(self) -> tuple[EdgeTpu, ...]:
        """List the devices, open or not.  Raises ``ConfigError``."""
        return attached_devices()

    def open(self, device: str, options: Mapping[str, str] = _NO_OPTIONS) -> OpenedDevice:
        """Open, or share, the device a device string means.

        The ``options``, which must be checked, are those of a delegate; of a simulated device
        ``Performance`` has an effect.  One that is shared stays as it is.

        Raises:
            ValueError: there is no such device, with the reason as one sentence.
            DeviceError: a real or exclusive device cannot be opened, with the reason.
        """
        asked = {key: value for key, value in options.items() if key != "device"}
        with self._lock:
            present = self.present()
            already = [tpu for tpu in present if _identity(tpu) in self._opened]
            record = select_device(device, present, already)
            known_as = _identity(record)
            if known_as not in self._opened:
                real = isinstance(record.source, CoralRecord)
                opened = OpenedDevice(
                    record.name,
                    partial(_start, record, asked, self.verbosity),
                    type=record.type,
                    simulated=not real,
                )
                if isinstance(record.source, CoralRecord) or record.source.exclusive:
                    opened.start()
                self._opened[known_as] = opened
                self._options[known_as] = asked
            elif asked and asked != self._options[known_as]:
                _log.warning(
                    "device %s is open with the options %s, so %s have no effect",
                    record.name,
                    self._options[known_as],
                    asked,
                )
            return self._opened[known_as]

    def close(self) -> None:
        """End every device that is running; interpreters on them need ``allocate_tensors``."""
        with self._lock:
            opened = list(self._opened.values())
            self._opened.clear()
            self._options.clear()
        for device in opened:
            device.close()


def _identity(record: EdgeTpu) -> EdgeTpu | str:
    """A real device is the one at a path, which it keeps when other devices come and go."""
    return record.path if isinstance(record.source, CoralRecord) else record


def _start(
    record: EdgeTpu, options: Mapping[str, str], verbosity: int, earlier_starts: int
) -> Device:
    if isinstance(record.source, CoralRecord):
        return CoralDevice(record.source, options=options, verbosity=verbosity)
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
