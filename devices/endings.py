"""The ways in which a chip takes its process along, as faults ask for them.

On a :class:`~devices.local.LocalDevice` that is your own process.
"""

from __future__ import annotations

import os
import sys
import threading

UNPLUGGED_EXIT = 86
"""Exit code of a device that was unplugged, so that its pool knows."""


def kill_this_process() -> None:
    """What a ``die`` fault does: SIGKILL."""
    import signal  # here, for the compiler imports this room on systems that have no such signal

    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # the signal may take a moment to arrive


def abort_this_process() -> None:
    """What a ``transfer`` fault does: libedgetpu logs a fatal error, which aborts its process."""
    import resource  # here, as above

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # nobody needs the memory of a simulation
    print("Bulk-in failed. Abort, as its configured fault asks", file=sys.stderr, flush=True)
    os.abort()


def unplug_this_process() -> None:
    """What an ``unplug`` fault does: the device is not there any more."""
    print("unplugged, as its configured fault asks", file=sys.stderr, flush=True)
    os._exit(UNPLUGGED_EXIT)
