from .chip import ClockChange, DeviceConfig, Fault, Heat, LatencyModel, SimulatedChip
from .config import MAX_DEVICES, PoolConfig, pool_config_from_mapping, pool_config_from_text
from .device import (
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
from .errors import ConfigError, DeviceDied, DeviceError, EdgeTpuError, ModelError, TensorError
from .executable import Executable, ExecutableInfo, OperatorWork, read_executable
from .hosted import Deadlines
from .libedgetpu import load_delegate
from .local import LocalDevice
from .pool import DevicePool
from .simulated import SimulatedDevice

__all__ = [
    "MAX_DEVICES",
    "Chip",
    "Clock",
    "ClockChange",
    "Compute",
    "ConfigError",
    "Deadlines",
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
    "Heat",
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
    "load_delegate",
    "pool_config_from_mapping",
    "pool_config_from_text",
    "read_executable",
]
