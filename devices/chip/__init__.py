"""One Edge TPU as a model of it: constants, time, memory, numbers, faults, and all of these.

Everything here runs in whatever process asks for it; no process is started and no signal is
touched when it is imported, so the compiler can ask for the chip's constants anywhere.
"""

from __future__ import annotations

from devices.chip.clock import SPIN_NS, Pacer, wait_until_ns
from devices.chip.config import ClockChange, DeviceConfig
from devices.chip.constants import (
    CLOCK_MHZ,
    CLOCKS_MHZ,
    CYCLES,
    PARAMETER_MEMORY_BYTES,
    RUNTIME_VERSION,
    ChipCycles,
)
from devices.chip.faults import Fault, FaultKind
from devices.chip.hosts import DEFAULT_HOSTS, HOSTS, Host, host_of
from devices.chip.latency import LatencyModel
from devices.chip.life import Life
from devices.chip.series import AgeingStage, TimedStage, ages, is_calculable, timed_stage
from devices.chip.sharing import MOST_HOST_NS, LinkUse, SharedLink, SharedTiming
from devices.chip.simulated_chip import Reader, SimulatedChip
from devices.chip.state import InterpreterState
from devices.chip.warmth import (
    ACCELERATOR,
    APEX_TRIP_POINTS_C,
    Heat,
    Power,
    Temperature,
    Watts,
    power_of,
)
from devices.chip.whole_model import LITERT, prepared_shapes, run_whole_model, try_to_prepare

__all__ = [
    "ACCELERATOR",
    "APEX_TRIP_POINTS_C",
    "CLOCKS_MHZ",
    "CLOCK_MHZ",
    "CYCLES",
    "DEFAULT_HOSTS",
    "HOSTS",
    "LITERT",
    "MOST_HOST_NS",
    "PARAMETER_MEMORY_BYTES",
    "RUNTIME_VERSION",
    "SPIN_NS",
    "AgeingStage",
    "ChipCycles",
    "ClockChange",
    "DeviceConfig",
    "Fault",
    "FaultKind",
    "Heat",
    "Host",
    "InterpreterState",
    "LatencyModel",
    "Life",
    "LinkUse",
    "Pacer",
    "Power",
    "Reader",
    "SharedLink",
    "SharedTiming",
    "SimulatedChip",
    "Temperature",
    "TimedStage",
    "Watts",
    "ages",
    "host_of",
    "is_calculable",
    "power_of",
    "prepared_shapes",
    "run_whole_model",
    "timed_stage",
    "try_to_prepare",
    "wait_until_ns",
]
