"""Starting a fresh interpreter, and what the system tells of a process.

It is started with ``sys.executable -c``, never by forking the host and not by the start-up of
:mod:`multiprocessing`: nothing of the user's main module is imported there, so a program needs no
``if __name__ == "__main__"``, and nothing is inherited but one end of a socket pair.  It leads a
session of its own, so Ctrl-C at the terminal reaches the host alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from devices.endings import UNPLUGGED_EXIT
from devices.errors import DeviceError

_BOOTSTRAP = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from {module} import main
main(int(sys.argv[2]), int(sys.argv[3]))
"""


def import_paths() -> tuple[str, ...]:
    """``sys.path`` of this process, to be that of another one: what is importable here is there."""
    paths = [path for path in sys.path if isinstance(path, str)]
    with contextlib.suppress(FileNotFoundError):  # nothing can be imported from a removed directory
        return tuple(path or os.getcwd() for path in paths)
    return tuple(filter(None, paths))


def device_environment() -> dict[str, str]:
    """The environment variables of a device process: those of this one, and no pools of threads."""
    environment = dict(os.environ)
    # A device computes on one thread; the pools of BLAS would only cost start-up and memory.
    environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    return environment


def start_interpreter(
    module: str,
    theirs: socket.socket,
    *,
    paths: Sequence[str],
    environment: Mapping[str, str],
    output: int,
) -> subprocess.Popen[bytes]:
    """Start ``main(descriptor of theirs, process id of the host)`` of a module in a new process.

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
                str(theirs.fileno()),
                str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            bufsize=0,
            close_fds=True,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            env=environment,
        )
    except (OSError, MemoryError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
        advice = "; raise the limit of open files (ulimit -n) or use fewer devices" if full else ""
        raise DeviceError(
            f"a device process could not be started with {sys.executable}: {error}{advice}"
        ) from error


def occupy_standard_descriptors() -> None:
    """Have no descriptor opened from now on be 0, 1 or 2.

    A program may have closed them.  A ring in the place of standard error would be written into by
    any library that complains, and a socket in the place of standard input is not inherited.
    Raises ``OSError``.
    """
    for descriptor in (0, 1, 2):
        try:
            fcntl.fcntl(descriptor, fcntl.F_GETFD)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            if opened > 2:  # another thread was faster
                os.close(opened)


def too_many(error: Exception) -> DeviceError:
    """What it means when this process can have no more descriptors, threads or memory."""
    return DeviceError(
        f"no connection to a device process could be opened: {error}; raise the limit of open "
        "files (ulimit -n) or use fewer devices"
    )


class DeviceProcess:
    """A device process as the host holds it: here an interpreter of its own."""

    pidfd = -1
    """Refers to the process until :meth:`release`, where it was to be had."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._process = process
        self.pid = process.pid
        self.output: IO[bytes] = process.stdout
        """The reading end of its standard output and error."""

    @property
    def exit_code(self) -> int | None:
        """As in :class:`subprocess.Popen`; ``None`` while it runs and where nobody can tell."""
        return exit_code(self._process)

    def explain_exit(self) -> str:
        """How it ended, in words."""
        return explain_exit(self.exit_code)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False on timeout."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Send SIGKILL; does nothing once it has ended."""
        self._process.kill()

    def release(self) -> None:
        """Let go of everything but the output, after its end."""

    def abandon_after_fork(self) -> None:
        """In a forked child of the host: let go of descriptors, without taking a lock."""


def exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """As ``returncode``, but ``None`` where the system forgets how children of this process end."""
    forgets = signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    return None if forgets else process.returncode


def explain_exit(exit_code: int | None) -> str:
    """How a process ended, in words, with the likely cause."""
    if exit_code is None:
        return "ended"
    if exit_code == UNPLUGGED_EXIT:
        return "unplugged"
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


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped, by SIGSTOP or a debugger; False where the system is silent."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] in ("T", "t")
