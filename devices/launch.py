"""Starting the operating system's process behind a device, and explaining its end.

The process is a fresh interpreter (``sys.executable -c``), never a fork and not the start-up of
:mod:`multiprocessing`: nothing of the user's main module is imported there, so a program needs no
``if __name__ == "__main__"``, and nothing is inherited but one end of a socket pair.  It leads a
session of its own, so Ctrl-C at the terminal reaches the host alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

from devices.control import ControlChannel
from devices.errors import DeviceError

_BOOTSTRAP = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from devices.process import main
main(int(sys.argv[2]), int(sys.argv[3]))
"""


def launch() -> tuple[subprocess.Popen[bytes], ControlChannel]:
    """Start a device process; gives it and the control connection to it."""
    if not sys.executable:
        raise DeviceError(
            "sys.executable is empty, so no device process can be started; run under a python "
            "executable"
        )
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise DeviceError(
            f"no socket for a device process could be opened: {error}; raise the limit of open "
            "files (ulimit -n) or use fewer devices"
        ) from error
    paths = [path or os.getcwd() for path in sys.path if isinstance(path, str)]
    environment = dict(os.environ)
    # A device computes on one thread; the pools of BLAS would only cost start-up and memory.
    environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    try:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _BOOTSTRAP,
                json.dumps(paths),
                str(theirs.fileno()),
                str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            close_fds=True,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            env=environment,
        )
    except OSError as error:
        ours.close()
        raise DeviceError(
            f"a device process could not be started with {sys.executable}: {error}"
        ) from error
    finally:
        theirs.close()
    return process, ControlChannel(ours, process.pid)


def explain_exit(exit_code: int | None) -> str:
    """How a process ended, in words, with the likely cause."""
    if exit_code is None:
        return "ended"
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    cause = {
        signal.SIGKILL: " (by a user, or by the system when memory ran out)",
        signal.SIGSEGV: " (a crash inside native code)",
        signal.SIGABRT: " (native code gave up)",
    }.get(-exit_code, "")  # type: ignore[call-overload]
    return f"killed by {name}{cause}"
