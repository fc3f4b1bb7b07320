"""The host's side of a device process: its connection, its programs, its output, its death.

``ProcessDevice`` is a device whose chip lives in a process of its own; the kinds of devices that
users meet are made of it.  ``ask`` calls a function in such a process.
"""

from __future__ import annotations

from devices.hosted.asking import ask
from devices.hosted.deadlines import Deadlines
from devices.hosted.process_device import ProcessDevice, close_devices

__all__ = [
    "Deadlines",
    "ProcessDevice",
    "ask",
    "close_devices",
]
