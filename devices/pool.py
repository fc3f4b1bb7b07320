"""The devices a program works with, started together and ended together."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType

from devices.chip import RUNTIME_VERSION, DeviceConfig
from devices.config import PoolConfig
from devices.coral import CoralDevice, list_coral_devices, why_none_attached
from devices.device import Clock, Compute, Device, Link
from devices.endings import UNPLUGGED_EXIT
from devices.errors import ConfigError, DeviceError
from devices.hosted import Deadlines, ProcessDevice, close_devices
from devices.nursery import hold_nursery
from devices.simulated import SimulatedDevice

BEGIN_S = 1.0
"""How long closing waits for a process that is being started to be known: far longer than that
takes, unless who starts it is starved or stopped; then the process ends by itself."""


_RESTARTABLE = (SimulatedDevice, CoralDevice)


class DevicePool:
    """Simulated devices by their configurations, named ``<link>:<number in the pool>``.

    A context manager; leaving it closes every device.  Raises ``DeviceError`` if a device cannot
    start, with no process left behind.
    """

    _release: weakref.finalize[[], DevicePool] | None

    def __init__(
        self,
        configs: PoolConfig | Sequence[DeviceConfig],
        *,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Start one process for each configuration, all at the same time.

        ``deadlines`` are those of every device, also of one that is started anew.
        """
        if not isinstance(configs, PoolConfig):
            configs = PoolConfig(tuple(configs))
        devices = configs.devices
        if not devices:
            raise ConfigError("a pool has 0 devices and needs at least one")
        self._begin(deadlines)
        # Until the pool is closed, a device started anew is quick even if it was the only one.
        self._release = weakref.finalize(self, hold_nursery())
        self._release.atexit = False  # nurseries end there after all devices
        try:
            self._devices: list[Device] = _start_all(
                [
                    partial(
                        SimulatedDevice,
                        f"{config.link}:{number}",
                        config,
                        deadlines=deadlines,
                        wait=False,
                    )
                    for number, config in enumerate(devices)
                ]
            )
        except BaseException:
            self._release()
            raise

    def _begin(self, deadlines: Deadlines | None) -> None:
        self._closed = False
        self._deadlines = deadlines
        # Reentrant, because the collector may close a pool inside any call, even one of its own.
        self._lock = threading.RLock()
        self._beginning = 0
        """Devices whose processes are being started and are not known yet."""
        self._begun = threading.Condition(self._lock)
        self._starting: dict[ProcessDevice, Device] = {}
        """Devices that are not ready yet, and in whose place they are to be."""
        self._missed: weakref.WeakKeyDictionary[Device, float] = weakref.WeakKeyDictionary()
        """Since when devices that were unplugged are asked for."""
        self._successors: weakref.WeakKeyDictionary[Device, Device] = weakref.WeakKeyDictionary()

    @classmethod
    def simulated(
        cls,
        count: int,
        *,
        link: Link = "usb",
        host: str = "",
        clock_mhz: int = 0,
        clock: Clock = "virtual",
        compute: Compute = "exact",
        latency_scale: float = 1.0,
        noise_sigma: float = 0.0,
        noise_seed: int = 0,
        cpu_affinity: tuple[int, ...] | None = None,
        runtime_version: int = RUNTIME_VERSION,
        deadlines: Deadlines | None = None,
    ) -> DevicePool:
        """A pool of ``count`` equal simulated devices.  Raises ``ConfigError``, ``DeviceError``."""
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"a pool of {count!r} devices was asked for; ask for 1 or more")
        config = DeviceConfig(
            link=link,
            host=host,
            clock_mhz=clock_mhz,
            clock=clock,
            compute=compute,
            latency_scale=latency_scale,
            noise_sigma=noise_sigma,
            noise_seed=noise_seed,
            cpu_affinity=cpu_affinity,
            runtime_version=runtime_version,
        )
        return cls([config] * count, deadlines=deadlines)

    @classmethod
    def coral(cls) -> DevicePool:
        """All real Edge TPUs attached to this machine.

        Raises ``DeviceError`` saying what is missing.  Not verified on hardware.
        """
        records = list_coral_devices()
        if not records:
            raise DeviceError(why_none_attached())
        launchers = [partial(CoralDevice, record, wait=False) for record in records]
        return cls.of(_start_all(launchers))

    @classmethod
    def of(cls, devices: Sequence[Device]) -> DevicePool:
        """A pool of devices that exist already; it closes them."""
        names = [device.name for device in devices]
        if len(set(names)) != len(names):
            raise ConfigError(
                f"devices of a pool are named {', '.join(names)}; give each a name of its own"
            )
        pool = cls.__new__(cls)
        pool._begin(None)
        pool._release = None
        pool._devices = list(devices)
        return pool

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices, in the order of their numbers, dead ones included."""
        return tuple(self._devices)

    def select(self, count: int, link: Link | None = None) -> tuple[Device, ...]:
        """The first ``count`` living devices (of a link).  Raises ``DeviceError`` if too few."""
        fitting = [device for device in self._devices if link in (None, device.link)]
        living = [device for device in fitting if not _known_dead(device)]
        if len(living) >= count:
            return tuple(living[:count])
        kind = "devices" if link is None else f"{link} devices"
        all_names = ", ".join(device.name for device in self._devices)
        dead = [device.name for device in fitting if _known_dead(device)]
        note = f" ({', '.join(dead)} died)" if dead else ""
        raise DeviceError(
            f"needs {count} {kind}, the pool has {len(living)}: {all_names}{note}; use fewer "
            "segments or a pool with more devices"
        )

    def restart(self, device: Device) -> Device:
        """Put a new process in the place of a device, dead or alive, and return it.

        It has the same name and configuration except for the faults, which happen once; nothing
        is loaded on it.  A real one is opened anew, at the same path.  Several threads may restart
        one device: all get the same new one.
        Raises ``DeviceError`` for a device of another kind or pool, and for one that was unplugged
        and is not back yet.
        """
        if not self.can_restart(device) or not isinstance(device, _RESTARTABLE):
            raise DeviceError(
                f"device {device.name} cannot be started anew: it is not a simulated or real "
                "device of this pool, or the pool is closed; use a spare device"
            )
        if isinstance(device, SimulatedDevice):
            self._check_plugged(device)
        device.close()
        try:
            fresh = self._start(device)
        except DeviceError:  # a real one is open once: another thread may have been faster
            if self.successor(device) is device:
                raise
            return self.successor(device)
        with self._lock:
            places = [place for place, own in enumerate(self._devices) if own is device]
            wanted = bool(places) and not self._closed
            if wanted:
                self._devices[places[0]] = self._successors[device] = fresh
            rivals = [other for other, lost in self._starting.items() if lost is device]
        for rival in rivals:  # started by other threads, and not needed any more
            rival.kill()
        if not wanted:  # the pool was closed, or another thread was faster
            fresh.close()
        return self.successor(device)

    def _check_plugged(self, lost: SimulatedDevice) -> None:
        """Raises ``DeviceError`` for one that was unplugged and is not back yet."""
        if lost.exit_code != UNPLUGGED_EXIT:
            return
        back_s = next((f.back_s for f in lost.config.faults if f.kind == "unplug"), None)
        missed = self._missed.setdefault(lost, time.monotonic())
        if back_s is None or time.monotonic() - missed < back_s:
            when = "stays so" if back_s is None else f"is back {back_s:g} s after it is missed"
            raise DeviceError(f"device {lost.name} is unplugged and {when}, as its fault asks")

    def _start(self, lost: SimulatedDevice | CoralDevice) -> ProcessDevice:
        with self._lock:
            if self._is_closed():
                raise DeviceError(
                    f"device {lost.name} is not started anew, because its pool is closed"
                )
            self._beginning += 1
        try:
            fresh = self._anew(lost)
            with self._lock:
                self._starting[fresh] = lost
        finally:
            with self._lock:
                self._beginning -= 1
                self._begun.notify_all()
        try:
            if self._is_closed():  # by a thread that did not know the new one
                fresh.kill()
            fresh.wait_ready()
        finally:
            with self._lock:
                del self._starting[fresh]
        return fresh

    def _anew(self, lost: SimulatedDevice | CoralDevice) -> ProcessDevice:
        if isinstance(lost, CoralDevice):
            return lost.opened_anew()
        return SimulatedDevice(
            lost.name,
            replace(lost.config, faults=()),
            times_plugged=lost.times_plugged + (lost.exit_code == UNPLUGGED_EXIT),
            deadlines=self._deadlines,
            wait=False,
        )

    def successor(self, device: Device) -> Device:
        """What is in the place of a device now: itself, or who was started anew for it."""
        while device in self._successors:
            device = self._successors[device]
        return device

    def can_restart(self, device: Device) -> bool:
        """Whether :meth:`restart` could be asked for this device."""
        known = any(device is own for own in self._devices)
        return known and isinstance(device, _RESTARTABLE) and not self._closed

    def _is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """End all devices; safe to call twice."""
        with self._lock:
            self._closed = True
            self._begun.wait_for(lambda: not self._beginning, BEGIN_S)
            devices = [*self._devices, *self._starting]
        try:
            _close_all(devices)
        finally:
            if self._release is not None:
                self._release()

    def __enter__(self) -> DevicePool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _start_all(launchers: Sequence[Callable[[], ProcessDevice]]) -> list[Device]:
    """Start all processes first, then wait for each; on an error, end those that came up."""
    started: list[ProcessDevice] = []
    try:
        for launch in launchers:
            started.append(launch())
        for device in started:
            device.wait_ready()
    except BaseException:
        _close_all(started)
        raise
    return list(started)


def _close_all(devices: Sequence[Device]) -> None:
    """Close all in the time of one."""
    close_devices([device for device in devices if isinstance(device, ProcessDevice)])
    with contextlib.ExitStack() as stack:  # one that cannot be closed does not keep the others
        for device in devices:
            stack.callback(device.close)


def _known_dead(device: Device) -> bool:
    return isinstance(device, ProcessDevice) and not device.alive
