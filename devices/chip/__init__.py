"""One Edge TPU as a model of it: constants, time, memory, numbers, faults, and all of these.

Everything here runs in whatever process asks for it; no process is started and no signal is
touched when it is imported, so the compiler can ask for the chip's constants anywhere.
"""

from __future__ import annotations

from devices.chip.clock import SPIN_NS, Pacer, wait_until_ns
from devices.chip.config import DeviceConfig
from devices.chip.constants import (
    PARAMETER_MEMORY_BYTES,
    PCIE_DEV_BOARD,
    PCIE_PC,
    RUNTIME_VERSION,
    USB_X86,
    LinkParameters,
)
from devices.chip.faults import Fault
from devices.chip.latency import LatencyModel
from devices.chip.simulated_chip import Reader, SimulatedChip
from devices.chip.state import InterpreterState

__all__ = [
    "PARAMETER_MEMORY_BYTES",
    "PCIE_DEV_BOARD",
    "PCIE_PC",
    "RUNTIME_VERSION",
    "SPIN_NS",
    "USB_X86",
    "DeviceConfig",
    "Fault",
    "InterpreterState",
    "LatencyModel",
    "LinkParameters",
    "Pacer",
    "Reader",
    "SimulatedChip",
    "wait_until_ns",
]
