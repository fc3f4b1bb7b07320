"""What runs inside a device's process, next to its chip, and how it and the host talk.

The control connection both sides speak, the main loop behind it, the programs it hosts, and how
errors and log records travel; who starts such a process is not known here.
"""

from __future__ import annotations

from devices.process.carried_error import unpack
from devices.process.control import (
    CarriedError,
    Configure,
    ControlChannel,
    Deliver,
    Logged,
    ProgramEvent,
    ProgramExit,
    Ready,
    Reply,
    Request,
    Shutdown,
    StartProgram,
    StopProgram,
    close_all,
    receive_descriptors,
)
from devices.process.inference import infer, infer_into, reset
from devices.process.log_records import LogFields, SafeLogger, add_log_fields
from devices.process.programs import ProgramThread
from devices.process.serving import serve_and_exit

__all__ = [
    "CarriedError",
    "Configure",
    "ControlChannel",
    "Deliver",
    "LogFields",
    "Logged",
    "ProgramEvent",
    "ProgramExit",
    "ProgramThread",
    "Ready",
    "Reply",
    "Request",
    "SafeLogger",
    "Shutdown",
    "StartProgram",
    "StopProgram",
    "add_log_fields",
    "close_all",
    "infer",
    "infer_into",
    "receive_descriptors",
    "reset",
    "serve_and_exit",
    "unpack",
]
