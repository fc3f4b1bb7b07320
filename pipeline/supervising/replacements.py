"""Which device takes the place of one that was lost."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Sequence

from devices.device import Device
from devices.errors import ConfigError, DeviceDied
from devices.pool import DevicePool

_in_use: weakref.WeakKeyDictionary[Device, int] = weakref.WeakKeyDictionary()
_in_use_lock = threading.Lock()


def claim(devices: Sequence[Device]) -> None:
    """Note that a pipeline uses these devices, so that no other takes them for spares."""
    with _in_use_lock:
        for device in devices:
            _in_use[device] = _in_use.get(device, 0) + 1


def give_up(devices: Sequence[Device]) -> None:
    """Take back what :meth:`claim` noted."""
    with _in_use_lock:
        for device in devices:
            _in_use[device] = _in_use.get(device, 1) - 1


def known_dead(device: Device) -> bool:
    """Whether the device is gone as far as the host has noticed; asks nobody."""
    return not getattr(device, "alive", True)


class Replacements:
    """Spare devices in the order given, then the lost device started anew or, if it lives, itself.

    ``spares`` are used up; those of ``pool`` are its living devices that no pipeline uses at that
    moment and none was taken from.  ``restart`` allows to start lost devices of ``pool`` anew.
    Whoever takes a device has claimed it.
    """

    def __init__(self, spares: Sequence[Device], pool: DevicePool | None, *, restart: bool) -> None:
        self._spares = list(spares)
        self._given = tuple(spares)
        self._pool = pool
        self._restart = restart
        self._lost: weakref.WeakSet[Device] = weakref.WeakSet()

    def check(self, devices: Sequence[Device]) -> None:
        """Refuse spares that could not take part.  Raises ``ConfigError``."""
        for spare in self._spares:
            if any(spare is device for device in devices):
                raise ConfigError(
                    f"Device {spare.name!r} is given as a spare and runs a stage already; a spare "
                    "must be a device of its own."
                )
            if spare.clock != devices[0].clock:
                raise ConfigError(
                    f"Spare device {spare.name!r} has the {spare.clock} clock, but the pipeline "
                    f"the {devices[0].clock} clock; configure all devices alike."
                )

    def possible(self, lost: Device) -> bool:
        """Whether there is anything to try."""
        return (
            any(not known_dead(spare) for spare in self._spares)
            or bool(self._free(lost))
            or self.restartable(lost)
            or not known_dead(lost if self._pool is None else self._pool.successor(lost))
        )

    def next(self, lost: Device, tried: Collection[Device]) -> Device | None:
        """A device to try in the place of ``lost``; ``None`` if there is none but those ``tried``.

        May take as long as a device needs to start.  Raises ``DeviceError`` if it does not.
        """
        return self._spare(lost) or self._again(lost, tried)

    def take_back(self, device: Device) -> None:
        """A spare that was tried is not needed after all."""
        if any(device is spare for spare in self._given):
            self._spares.insert(0, device)
        self._lost.discard(device)
        give_up([device])

    def restartable(self, device: Device) -> bool:
        """Whether a device in the place of this one may be started anew."""
        if not self._restart or self._pool is None:
            return False
        return self._pool.can_restart(self._pool.successor(device))

    def _spare(self, lost: Device) -> Device | None:
        """A device that did nothing yet; ``None`` if there is none."""
        self._lost.add(lost)
        with _in_use_lock:
            while self._spares:
                device = self._spares.pop(0)
                if not known_dead(device):
                    _in_use[device] = _in_use.get(device, 0) + 1
                    return device
            free = self._free(lost)
            if not free:
                return None
            _in_use[free[0]] = 1
            self._lost.add(free[0])  # it will be, if it is of no use
            return free[0]

    def _again(self, lost: Device, tried: Collection[Device]) -> Device | None:
        """The lost device itself, in a new process if possible; ``None`` if it cannot go on."""
        current = lost if self._pool is None else self._pool.successor(lost)
        renewed = current is not lost and not known_dead(current)  # for another pipeline
        if any(current is device for device in tried) and not known_dead(current):
            return None
        if not renewed and self.restartable(current):
            assert self._pool is not None
            current = self._pool.restart(current)
        elif known_dead(current):
            return None
        claim([current])
        return current

    def _free(self, lost: Device) -> list[Device]:
        return [
            device
            for device in (() if self._pool is None else self._pool.devices)
            if not _in_use.get(device)
            and not known_dead(device)
            and device not in self._lost
            and (device.clock, device.compute) == (lost.clock, lost.compute)
        ]


def can_be_succeeded(device: Device, error: BaseException | None) -> bool:
    """Whether the lost stage is certain to touch its channels no more.

    A process that ended is; a thread of this process is once it has returned or raised, but not
    if its device was closed while it was still busy.
    """
    return hasattr(device, "kill") or not isinstance(error, DeviceDied)
