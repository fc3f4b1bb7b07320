"""The nursery's side: a process that has imported what devices need, and forks them.

Importing numpy and LiteRT takes a tenth of a second and more; forking takes a millisecond or two.
The nursery is a fresh interpreter with a single thread, so a fork is a whole copy: no lock can be
held by a thread that does not exist in the child.  It makes no chip and loads no user module or
device library; that happens in the children.

A request is one message, with four descriptors (:data:`DESCRIPTORS`): the first is a socket of
this one device, on which the nursery says what became of it::

    host ── modules, 4 descriptors ─► nursery ── fork ──► device
         ◄─ pid and pidfd, later the exit code ── status socket of that device
         ── Place, Configure, ... ──────────────────────► its control socket

Nobody is left behind, in whatever order processes go: the system kills the nursery with the host,
and the devices with the nursery (PR_SET_PDEATHSIG), stopped ones included.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from devices.process import ControlChannel, close_all, receive_descriptors, serve_and_exit

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NAME = 15

DESCRIPTORS = ("status socket", "control socket", "standard output and error", "working directory")
"""What comes with a request, in this order."""

REQUEST_BYTES = 65536
"""The names of the modules that a device is going to need, as JSON."""

NUMBER = struct.Struct("<q")
"""On the status socket: first the process id, at the end the exit code (as in ``subprocess``).

A message of any other length is a sentence: why there is no device.
"""


@dataclass(frozen=True)
class Place:
    """What a forked process has to take on, to be where the host is; first on its control socket.

    A fresh interpreter has it by inheriting it.  The working directory comes as a descriptor.
    """

    umask: int | None
    cpus: frozenset[int]
    environment: Mapping[str, str]

    @classmethod
    def here(cls, environment: Mapping[str, str]) -> Place:
        """That of the calling thread, with these environment variables."""
        umask = None
        # os.umask cannot ask without setting it for all threads for a moment.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                umask = int(line.split()[1], 8)
        return cls(umask, frozenset(os.sched_getaffinity(0)), environment)

    def take(self) -> None:
        """Make this process be there.  Raises ``OSError``."""
        if self.umask is not None:
            os.umask(self.umask)
        if self.cpus != os.sched_getaffinity(0):
            os.sched_setaffinity(0, self.cpus)
        for name in set(os.environ).difference(self.environment):
            del os.environ[name]
        os.environ.update(self.environment)


def main(fd: int, host_pid: int) -> NoReturn:
    """Fork devices for the host at the other end of ``fd`` until it is gone."""
    os.set_inheritable(fd, False)
    nursery = _Nursery(socket.socket(fileno=fd), host_pid)
    serve_and_exit(nursery.serve, parent_pid=host_pid)


class _Nursery:
    def __init__(self, requests: socket.socket, host_pid: int) -> None:
        self._requests = requests
        self._host_pid = host_pid
        self._pid = os.getpid()
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._die_with_parent()
        self._children: dict[int, tuple[int, socket.socket]] = {}
        """By pidfd: process id and status socket."""
        self._imported: set[str] = set()
        self._poll = select.poll()

    def serve(self) -> NoReturn:
        """Fork and reap; ends with ``EOFError`` when the host is gone or wants no more."""
        self._name("edgetpu nursery")
        importlib.import_module("devices.process.main")
        self._settle()
        self._poll.register(self._requests, select.POLLIN)
        try:
            while True:
                for fd, _ in self._poll.poll():
                    if fd in self._children:
                        self._reap(fd)
                    else:
                        self._answer(*receive_descriptors(self._requests, REQUEST_BYTES, 4))
        finally:
            for pidfd in self._children:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def _die_with_parent(self) -> None:
        """Ask the system to kill this process with the *thread* that started it.

        The host starts the nursery in a thread that lasts as long; the nursery has one thread only.
        """
        if self._prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")

    def _name(self, name: str) -> None:
        """Show a name where the system lists processes (15 characters)."""
        self._prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)

    def _import(self, modules: Sequence[str]) -> None:
        new = [module for module in modules if module not in self._imported]
        self._imported.update(new)
        for module in new:
            # Whether it is a fault that one is missing is for the device to say.
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        if new:
            self._settle()

    def _settle(self) -> None:
        """After imports: make forking cheap.

        What is there now is shared with all children as long as nobody writes to it, which the
        collector would.
        """
        gc.collect()
        gc.freeze()

    def _answer(self, request: bytes, fds: tuple[int, ...]) -> None:
        if not request:
            raise EOFError
        if not fds:
            return  # the sender finds its status socket closed
        status, rest = socket.socket(fileno=fds[0]), fds[1:]
        try:
            if len(fds) < len(DESCRIPTORS):
                raise OSError("it is at its limit of open files")
            self._import(json.loads(request))
            threads = len(os.listdir("/proc/self/task"))
            if threads != 1:  # a lock held by one of them would be held for ever in the child
                raise RuntimeError(f"has {threads} threads after importing what devices need")
            pid = os.fork()
            if pid == 0:
                self._become_device(status, *rest)
            try:
                pidfd = os.pidfd_open(pid)
            except OSError:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
        except (OSError, MemoryError, RuntimeError) as error:
            problem = str(error) if isinstance(error, RuntimeError) else f"cannot fork: {error}"
            with contextlib.suppress(OSError), status:
                status.send(problem.encode())
            return
        finally:
            close_all(rest)
        self._children[pidfd] = pid, status
        self._poll.register(pidfd, select.POLLIN)
        with contextlib.suppress(OSError):  # nobody waits any more: the device leaves by itself
            socket.send_fds(status, [NUMBER.pack(pid)], [pidfd])

    def _reap(self, pidfd: int) -> None:
        pid, status = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, code = os.waitpid(pid, 0)
        with contextlib.suppress(OSError), status:
            status.send(NUMBER.pack(os.waitstatus_to_exitcode(code)))

    def _become_device(
        self, status: socket.socket, control: int, output: int, directory: int
    ) -> NoReturn:
        """In the child: be what a fresh interpreter would be, then serve the host."""

        def be_device() -> None:
            from devices.process.main import serve

            os.dup2(output, 1)
            os.dup2(output, 2)
            self._die_with_parent()
            if os.getppid() != self._pid:
                return  # the nursery ended before that took effect
            for inherited in (self._requests, status, *(s for _, s in self._children.values())):
                inherited.close()
            close_all((output, *self._children))
            os.setsid()
            os.fchdir(directory)
            os.close(directory)
            self._name("edgetpu device")
            channel = ControlChannel(socket.socket(fileno=control), self._host_pid)
            place, _ = channel.receive()
            assert isinstance(place, Place)
            place.take()
            importlib.invalidate_caches()  # modules may have been written since
            if "numpy.random" in sys.modules:
                # Python reseeds its own generator after a fork.
                importlib.import_module("numpy.random").seed()
            serve(channel)

        serve_and_exit(be_device, parent_pid=self._pid)
