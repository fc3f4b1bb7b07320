"""What the compiler makes and a device loads: the executable, as plain data and as a file.

Knows how an executable describes itself, how its file is sealed, written and read, and how far a
file of Google's compiler can be understood; nothing of chips, time or processes.
"""

from __future__ import annotations

from devices.executable.description import CUSTOM_OPERATOR, Executable, ExecutableInfo, OperatorWork
from devices.executable.file import METADATA_NAME, read_executable, seal
from devices.executable.google_package import describe_google_package

__all__ = [
    "CUSTOM_OPERATOR",
    "METADATA_NAME",
    "Executable",
    "ExecutableInfo",
    "OperatorWork",
    "describe_google_package",
    "read_executable",
    "seal",
]
