"""Starting a fresh interpreter for device processes, and explaining how a process ended.

It is started with ``sys.executable -c``, never by forking the host and not by the start-up of
:mod:`multiprocessing`: nothing of the user's main module is imported there, so a program needs no
``if __name__ == "__main__"``, and nothing is inherited but one end of a socket pair.  It leads a
session of its own, so Ctrl-C at the terminal reaches the host alone.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Protocol

from devices.errors import DeviceError

_BOOTSTRAP = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from {module} import main
main(int(sys.argv[2]), int(sys.argv[3]))
"""


def import_paths() -> tuple[str, ...]:
    """``sys.path`` of this process, to be that of another one: what is importable here is there."""
    return tuple(path or os.getcwd() for path in sys.path if isinstance(path, str))


def device_environment() -> dict[str, str]:
    """The environment variables of a device process: those of this one, and no pools of threads."""
    environment = dict(os.environ)
    # A device computes on one thread; the pools of BLAS would only cost start-up and memory.
    environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    return environment


def start_interpreter(
    module: str,
    control: socket.socket,
    *,
    paths: Sequence[str],
    environment: Mapping[str, str],
    output: int,
) -> subprocess.Popen[bytes]:
    """Start ``main(descriptor of control, process id of the host)`` of a module in a new process.

    ``output`` is what its standard output and error are to be: a descriptor or
    ``subprocess.PIPE``.  Raises ``DeviceError``.
    """
    if not sys.executable:
        raise DeviceError(
            "sys.executable is empty, so no device process can be started; run under a python "
            "executable"
        )
    try:
        return subprocess.Popen(
            [
                sys.executable,
                "-c",
                _BOOTSTRAP.format(module=module),
                json.dumps(list(paths)),
                str(control.fileno()),
                str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            bufsize=0,
            close_fds=True,
            pass_fds=(control.fileno(),),
            start_new_session=True,
            env=environment,
        )
    except OSError as error:
        full = error.errno in (errno.EMFILE, errno.ENFILE)
        advice = "; raise the limit of open files (ulimit -n) or use fewer devices" if full else ""
        raise DeviceError(
            f"a device process could not be started with {sys.executable}: {error}{advice}"
        ) from error


class DeviceProcess(Protocol):
    """A device process as the host holds it, whatever way it was started."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    @property
    def output(self) -> IO[bytes]:
        """The reading end of its standard output and error."""
        ...

    @property
    def exit_code(self) -> int | None:
        """As in :class:`subprocess.Popen`; ``None`` while it runs and where nobody can tell."""
        ...

    def explain_exit(self) -> str:
        """How it ended, in words."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False on timeout."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM; does nothing once it has ended."""
        ...

    def kill(self) -> None:
        """Send SIGKILL; does nothing once it has ended."""
        ...

    def told_by_this_thread(self) -> bool:
        """Whether its end is learned by the calling thread, which therefore cannot wait for it."""
        ...

    def release(self) -> None:
        """Let go of everything but the output, after its end."""
        ...

    def abandon_after_fork(self) -> None:
        """In a forked child of the host: let go of descriptors, without taking a lock."""
        ...


class FreshProcess:
    """A device process that is an interpreter of its own, for systems without a nursery."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._process = process
        self.pid = process.pid
        self.output: IO[bytes] = process.stdout

    @property
    def exit_code(self) -> int | None:
        """See :class:`DeviceProcess`."""
        return self._process.returncode

    def explain_exit(self) -> str:
        """See :class:`DeviceProcess`."""
        return explain_exit(self.exit_code)

    def wait(self, timeout_s: float) -> bool:
        """See :class:`DeviceProcess`."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self) -> None:
        """See :class:`DeviceProcess`."""
        self._process.terminate()

    def kill(self) -> None:
        """See :class:`DeviceProcess`."""
        self._process.kill()

    def told_by_this_thread(self) -> bool:
        """See :class:`DeviceProcess`; the system tells anyone who asks."""
        return False

    def release(self) -> None:
        """See :class:`DeviceProcess`."""

    def abandon_after_fork(self) -> None:
        """See :class:`DeviceProcess`."""


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
