"""How a device process is started: forked by the nursery, or as a fresh interpreter.

Gives out a process and the control connection to it; what is said over the connection is the
business of others.
"""

from __future__ import annotations

from devices.nursery.launch import explain_exit
from devices.nursery.start import hold_nursery, import_early, start_device_process

__all__ = [
    "explain_exit",
    "hold_nursery",
    "import_early",
    "start_device_process",
]
