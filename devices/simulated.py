"""A simulated Edge TPU in a process of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from devices.chip import LITERT, DeviceConfig, LatencyModel, Reader, SimulatedChip
from devices.device import Device, Sharing
from devices.exclusive import exclusively
from devices.hosted import Deadlines, ProcessDevice

_MODULES = ("devices.chip.simulated_chip", "devices.executable.file")


class SimulatedDevice(ProcessDevice):
    """A :class:`~devices.chip.SimulatedChip` behind the :class:`Device` interface.

    ``read`` and ``latency`` replace how executables are opened and how time is modelled; both are
    pickled to the device process.  ``times_plugged`` is how often it was unplugged and is back.
    Raises ``DeviceError`` when the process cannot start, and of an
    ``exclusive`` device when another process has it.
    """

    def __init__(
        self,
        name: str,
        config: DeviceConfig | None = None,
        *,
        read: Reader | None = None,
        latency: LatencyModel | None = None,
        times_plugged: int = 0,
        deadlines: Deadlines | None = None,
        wait: bool = True,
    ) -> None:
        """Start the process; with ``wait=False`` call :meth:`wait_ready` before use."""
        self.config = DeviceConfig() if config is None else config
        link = self.config.shared_link
        self.sharing = Sharing(link.name if link else None, self.config.host_ns_per_stage)
        self.times_plugged = times_plugged
        chip = partial(
            SimulatedChip,
            name,
            self.config,
            read=read,
            latency=latency,
            times_plugged=times_plugged,
        )
        super().__init__(
            name,
            partial(exclusively, name, chip) if self.config.exclusive else chip,
            link=self.config.link,
            clock=self.config.clock,
            compute=self.config.compute,
            cpu_affinity=self.config.cpu_affinity,
            modules=_MODULES if self.config.compute == "none" else (*_MODULES, LITERT),
            deadlines=deadlines,
            wait=wait,
        )


def description_of(device: Device) -> dict[str, str | int | float]:
    """What a report says of a device: name and link; of a simulated one host, clock and spread."""
    known: dict[str, str | int | float] = {"name": device.name, "link": device.link}
    if isinstance(device, SimulatedDevice):
        host = device.config.attached_to
        known |= {"host": host.name, "clock_mhz": device.config.clock_mhz, "spread": host.spread}
    return known


def model_error(
    devices: Iterable[Mapping[str, str | int | float]], per_second: float | None = None
) -> str:
    """A sentence on how far times of simulated devices, so described, are from real ones.

    With a throughput, what that means for it.  Empty where all devices are real.
    """
    simulated = [device for device in devices if "spread" in device]
    if not simulated:
        return ""
    factor = 1 + max(float(device["spread"]) for device in simulated)
    hosts = ", ".join(dict.fromkeys(str(device["host"]) for device in simulated))
    sentence = f"simulated ({hosts}); 4 of 5 real latencies are within a factor {factor:.2f}"
    if per_second is not None:
        sentence += f", here {_rate(per_second / factor)} to {_rate(per_second * factor)}/s"
    return sentence


def _rate(per_second: float) -> str:
    """With one decimal, a slow one with three digits."""
    return f"{per_second:.1f}" if per_second >= 10.0 else f"{per_second:.3g}"
