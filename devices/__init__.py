"""What an Edge TPU is: its chip, its executables, its time, and the processes that host it.

``DevicePool.simulated(4)`` starts four devices; ``device.load(path)`` and ``device.run(...)`` use
one.  See :mod:`devices.device` for the interface they all share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devices.chip import DeviceConfig, Fault, LatencyModel, SimulatedChip
from devices.config import PoolConfig, pool_config_from_mapping
from devices.device import (
    Chip,
    Clock,
    Compute,
    Device,
    Health,
    Link,
    Loaded,
    Program,
    ProgramContext,
    ProgramHandle,
    TensorSpec,
    Timing,
)
from devices.errors import (
    ConfigError,
    DeviceDied,
    DeviceError,
    EdgeTpuError,
    ModelError,
    TensorError,
)
from devices.executable import Executable, ExecutableInfo, OperatorWork
from devices.local import LocalDevice
from devices.pool import DevicePool
from devices.simulated import SimulatedDevice

if TYPE_CHECKING:
    from devices.executable import read_executable

__all__ = [
    "Chip",
    "Clock",
    "Compute",
    "ConfigError",
    "Device",
    "DeviceConfig",
    "DeviceDied",
    "DeviceError",
    "DevicePool",
    "EdgeTpuError",
    "Executable",
    "ExecutableInfo",
    "Fault",
    "Health",
    "LatencyModel",
    "Link",
    "Loaded",
    "LocalDevice",
    "ModelError",
    "OperatorWork",
    "PoolConfig",
    "Program",
    "ProgramContext",
    "ProgramHandle",
    "SimulatedChip",
    "SimulatedDevice",
    "TensorError",
    "TensorSpec",
    "Timing",
    "pool_config_from_mapping",
    "read_executable",
]


def __getattr__(name: str) -> Any:
    """Import the executable file's module when it is asked for: it brings in LiteRT's schema."""
    if name == "read_executable":
        from devices.executable import read_executable

        return read_executable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
