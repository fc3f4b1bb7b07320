"""A simulated Edge TPU in a process of its own."""

from __future__ import annotations

from functools import partial

from devices.chip import DeviceConfig, LatencyModel, Reader, SimulatedChip
from devices.hosted import Deadlines, ProcessDevice

_MODULES = ("devices.chip.simulated_chip", "devices.executable.file")
_ENGINE = "ai_edge_litert.interpreter"


class SimulatedDevice(ProcessDevice):
    """A :class:`~devices.chip.SimulatedChip` behind the :class:`Device` interface.

    ``read`` and ``latency`` replace how executables are opened and how time is modelled; both are
    pickled to the device process.  Raises ``DeviceError`` when the process cannot start.
    """

    def __init__(
        self,
        name: str,
        config: DeviceConfig | None = None,
        *,
        read: Reader | None = None,
        latency: LatencyModel | None = None,
        deadlines: Deadlines | None = None,
        wait: bool = True,
    ) -> None:
        """Start the process; with ``wait=False`` call :meth:`wait_ready` before use."""
        self.config = DeviceConfig() if config is None else config
        super().__init__(
            name,
            partial(SimulatedChip, name, self.config, read=read, latency=latency),
            link=self.config.link,
            clock=self.config.clock,
            compute=self.config.compute,
            cpu_affinity=self.config.cpu_affinity,
            modules=_MODULES if self.config.compute == "none" else (*_MODULES, _ENGINE),
            deadlines=deadlines,
            wait=wait,
        )
