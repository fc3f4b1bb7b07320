"""What one simulated device is, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from devices.chip.constants import (
    CLOCKS_MHZ,
    OLDEST_RUNTIME_VERSION,
    RUNTIME_VERSION,
)
from devices.chip.faults import Fault
from devices.chip.hosts import DEFAULT_HOSTS, Host, host_of
from devices.chip.sharing import SharedLink, check_sharing
from devices.chip.warmth import Heat, Power, heat_at, power_of
from devices.device import Clock, Compute, Link
from devices.errors import ConfigError

_CHOICES: dict[str, tuple[str, ...]] = {
    "link": get_args(Link),
    "clock": get_args(Clock),
    "compute": get_args(Compute),
}


@dataclass(frozen=True)
class ClockChange:
    """From ``at_s`` seconds after a device's first inference on, its clock is ``clock_mhz``."""

    at_s: float
    clock_mhz: int

    def __post_init__(self) -> None:
        """Refuse what cannot happen.  Raises ``ConfigError``."""
        number = isinstance(self.at_s, int | float) and not isinstance(self.at_s, bool)
        if not number or not 0 <= self.at_s <= 1e9:
            raise ConfigError(
                f"at_s of a clock change is {self.at_s!r} and must be a number of seconds from 0 on"
            )
        if isinstance(self.clock_mhz, bool) or self.clock_mhz not in CLOCKS_MHZ:
            raise ConfigError(
                f"clock_mhz of a clock change is {self.clock_mhz!r} and must be one of "
                f"{', '.join(map(str, CLOCKS_MHZ))}"
            )


@dataclass(frozen=True)
class DeviceConfig:
    """One simulated device.

    ``host`` is what it is attached to (:data:`devices.chip.HOSTS`); empty, it is a desktop PC with
    that ``link``, and given one, ``link`` is that host's.  ``host_constants`` sets some of the
    host's numbers otherwise; ``clock_mhz`` is the chip's clock (0: the
    host's).
    ``latency_scale`` multiplies every modelled latency;
    ``noise_sigma`` is the relative standard deviation of a random factor on each inference,
    drawn from ``noise_seed`` and the device's name, and ``noise_tail`` the share of inferences
    that besides take up to a thousand times as long (Pareto, exponent 2: half of those more than
    1.41 times, a hundredth more than 10 times).  ``unit_sigma`` is how much units differ: the
    relative standard deviation of a factor that each device draws once.  ``heat`` warms the device
    up and slows it down; ``power`` sets ``idle_w`` and ``active_w`` otherwise than the host;
    ``clock_changes`` happen in the order of their times.  ``faults`` are injected.
    ``cpu_affinity`` are
    the CPUs of this machine on which the device's process may run (``None``: any).
    A USB device with ``dfu`` comes without its firmware, as sticks that were just plugged in; its
    first inference uploads it.  An ``exclusive`` device belongs to one process of the machine at a
    time, as real ones do; others that ask for a device of its name are refused.
    ``runtime_version`` is that of the Edge TPU runtime on its host, which refuses packages that
    need a newer one.
    ``shared_link`` is a link that it has in common with all devices that name an equal one, and
    ``host_ns_per_stage`` how much of the one host's time every item takes in every stage.
    """

    link: Link = "usb"
    host: str = ""
    host_constants: tuple[tuple[str, float], ...] = ()
    clock_mhz: int = 0
    clock: Clock = "virtual"
    compute: Compute = "exact"
    latency_scale: float = 1.0
    noise_sigma: float = 0.0
    noise_seed: int = 0
    noise_tail: float = 0.0
    unit_sigma: float = 0.0
    heat: Heat | None = None
    power: tuple[tuple[str, float], ...] = ()
    clock_changes: tuple[ClockChange, ...] = ()
    faults: tuple[Fault, ...] = ()
    cpu_affinity: tuple[int, ...] | None = None
    exclusive: bool = False
    dfu: bool = False
    runtime_version: int = RUNTIME_VERSION
    shared_link: SharedLink | None = None
    host_ns_per_stage: int = 0

    def __post_init__(self) -> None:
        """Refuse values no device can have.  Raises ``ConfigError``."""
        for key, allowed in _CHOICES.items():
            value = getattr(self, key)
            if not isinstance(value, str) or value not in allowed:
                raise ConfigError(
                    f"{key} of a device is {value!r} and must be one of {', '.join(allowed)}"
                )
        if isinstance(self.clock_mhz, bool) or self.clock_mhz not in (0, *CLOCKS_MHZ):
            raise ConfigError(
                f"clock_mhz of a device is {self.clock_mhz!r} and must be one of "
                f"{', '.join(map(str, CLOCKS_MHZ))}"
            )
        self._attach()
        for key, low, high in (
            ("latency_scale", 1e-6, 1e6),
            ("noise_sigma", 0.0, 1.0),
            ("noise_tail", 0.0, 1.0),
            ("unit_sigma", 0.0, 0.5),
        ):
            value = getattr(self, key)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                raise ConfigError(
                    f"{key} of a device is {value!r} and must be a number from {low:g} to {high:g}"
                )
        if not isinstance(self.noise_seed, int) or isinstance(self.noise_seed, bool):
            raise ConfigError(
                f"noise_seed of a device is {self.noise_seed!r} and must be a whole number"
            )
        version = self.runtime_version
        if type(version) is not int or not OLDEST_RUNTIME_VERSION <= version <= RUNTIME_VERSION:
            raise ConfigError(
                f"runtime_version of a device is {version!r} and must be a whole number from "
                f"{OLDEST_RUNTIME_VERSION} to {RUNTIME_VERSION}"
            )
        if not isinstance(self.faults, tuple) or not all(isinstance(f, Fault) for f in self.faults):
            raise ConfigError(f"faults of a device is {self.faults!r} and must be a tuple of Fault")
        for key in ("exclusive", "dfu"):
            if not isinstance(value := getattr(self, key), bool):
                raise ConfigError(f"{key} of a device is {value!r} and must be true or false")
        if self.dfu and self.link != "usb":
            raise ConfigError("dfu of a device is True, but only devices at USB have firmware")
        self._check_life()
        if self.cpu_affinity is not None:
            _check_affinity(self.cpu_affinity)
        check_sharing(self.shared_link, self.host_ns_per_stage, self.clock)

    @property
    def attached_to(self) -> Host:
        """The host, with its numbers set as asked."""
        return host_of(self.host, self.host_constants)

    @property
    def power_drawn(self) -> Power:
        """What it draws from its supply, with numbers set as asked."""
        return power_of(self.host, self.power)

    def _check_life(self) -> None:
        """Refuse heat, power and clocks that cannot be.  Raises ``ConfigError``."""
        power = self.power_drawn
        changes = self.clock_changes
        if not isinstance(changes, tuple) or not all(isinstance(c, ClockChange) for c in changes):
            raise ConfigError(
                f"clock_changes of a device is {changes!r} and must be a tuple of ClockChange"
            )
        if [change.at_s for change in changes] != sorted({change.at_s for change in changes}):
            raise ConfigError(
                "clock_changes of a device are at "
                f"{', '.join(f'{change.at_s:g}' for change in changes)} s and must be at rising "
                "times"
            )
        if self.heat is not None:
            if not isinstance(self.heat, Heat):
                raise ConfigError(f"heat of a device is {self.heat!r} and must be a Heat")
            heat_at(self.heat, self.host, self.link, power)

    def _attach(self) -> None:
        """Find the host, and the link from it.  Raises ``ConfigError``."""
        if self.link != "usb" and self.host and self.attached_to.link != self.link:
            raise ConfigError(
                f"link of a device is {self.link!r}, but its host {self.host!r} has "
                f"{self.attached_to.link}; leave one of them out"
            )
        object.__setattr__(self, "host", self.host or DEFAULT_HOSTS[self.link])
        object.__setattr__(self, "link", self.attached_to.link)
        object.__setattr__(self, "clock_mhz", self.clock_mhz or self.attached_to.clock_mhz)


def _check_affinity(cpus: object) -> None:
    """Refuse what names no set of CPUs of this machine.  Raises ``ConfigError``."""
    if (
        not isinstance(cpus, tuple)
        or not cpus
        or not all(isinstance(c, int) and not isinstance(c, bool) and c >= 0 for c in cpus)
        or len(set(cpus)) < len(cpus)
    ):
        raise ConfigError(
            f"cpu_affinity of a device is {cpus!r} and must be a list of different CPU numbers, "
            "such as [0, 1]"
        )
    import psutil  # here: device processes start sooner without it

    present = psutil.cpu_count() or 1
    for cpu in cpus:
        if cpu >= present:
            raise ConfigError(
                f"cpu_affinity of a device names CPU {cpu}, and this machine has CPUs 0 to "
                f"{present - 1}"
            )
