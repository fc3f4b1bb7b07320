"""What runs inside the nursery: a process that has imported what devices need, and forks them.

Importing numpy and LiteRT takes a tenth of a second and more; forking takes a millisecond or two.
The nursery is a fresh interpreter with a single thread, so a fork is a whole copy: no lock can be
held by a thread that does not exist in the child.  It makes no chip and loads no user module or
device library; that happens in the children.

Nobody is left behind, in whatever order processes go:

* the host ends: the nursery's socket reads as end-of-file and it kills every child, stopped ones
  included.  If it is stopped itself, the system kills it (PR_SET_PDEATHSIG) and what follows is
* the nursery ends: the system kills its children.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from devices.nursery.surroundings import Place
from devices.process import ControlChannel, close_all

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NAME = 15


@dataclass(frozen=True)
class NurseryReady:
    """Nursery to host, first: it can fork."""


@dataclass(frozen=True)
class ForkDevice:
    """Host to nursery, with three descriptors: make a device process.

    They are its control socket, its standard output and error, and its working directory.
    ``modules`` it is going to need are imported before, once for it and those that follow.
    """

    number: int
    modules: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class Forked:
    """Nursery to host, with a pidfd of the child, which no reuse of process ids can confuse."""

    number: int
    pid: int


@dataclass(frozen=True)
class NotForked:
    """Nursery to host: the system would not."""

    number: int
    problem: str


@dataclass(frozen=True)
class Exited:
    """Nursery to host: a child has ended (as in :class:`subprocess.Popen`) and left no zombie."""

    pid: int
    exit_code: int


def main(fd: int, host_pid: int) -> NoReturn:
    """Fork devices for the host at the other end of ``fd`` until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's to handle
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whatever the starting thread had blocked
    faulthandler.enable()
    os.set_inheritable(fd, False)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    _die_with_parent(prctl)
    channel = ControlChannel(socket.socket(fileno=fd), host_pid)
    nursery = _Nursery(channel, host_pid, prctl)
    exit_code = 0
    try:
        if os.getppid() != host_pid:
            raise EOFError("the host ended while this process was starting")
        nursery.serve()
    except EOFError:
        pass
    except BaseException:
        traceback.print_exc()
        exit_code = 1
    nursery.kill_all()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(exit_code)


def _die_with_parent(prctl: ctypes._NamedFuncPointer) -> None:
    """Ask the system to kill this process with the *thread* that started it.

    The host starts the nursery in a thread that lasts as long; the nursery has one thread only.
    """
    if prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


class _Nursery:
    def __init__(
        self, channel: ControlChannel, host_pid: int, prctl: ctypes._NamedFuncPointer
    ) -> None:
        self._channel = channel
        self._host_pid = host_pid
        self._prctl = prctl
        self._pid = os.getpid()
        self._children: dict[int, int] = {}
        """Process ids by pidfd."""
        self._imported: set[str] = set()
        self._unsafe: str | None = None
        self._poll = select.poll()

    def serve(self) -> NoReturn:
        """Fork and reap; ends with ``EOFError`` when the host is gone or wants no more."""
        self._name("edgetpu nursery")
        importlib.import_module("devices.process.main")
        self._settle()
        if self._unsafe is not None:
            raise RuntimeError(self._unsafe)
        self._channel.send(NurseryReady())
        self._poll.register(self._channel.fileno(), select.POLLIN)
        while True:
            for fd, _ in self._poll.poll():
                if fd in self._children:
                    self._reap(fd)
                else:
                    message, fds = self._channel.receive()
                    assert isinstance(message, ForkDevice)
                    self._fork(message, fds)

    def _settle(self) -> None:
        """After imports: see whether it is still safe to fork, and make it cheap."""
        threads = len(os.listdir("/proc/self/task"))
        if threads != 1:
            self._unsafe = f"has {threads} threads after importing what devices need"
        # What is there now is shared with all children as long as nobody writes to it, which the
        # collector would.
        gc.collect()
        gc.freeze()

    def _import(self, modules: Sequence[str]) -> None:
        new = [module for module in modules if module not in self._imported]
        if new:
            self._imported.update(new)
            for module in new:
                # Whether it is a fault that one is missing is for the device to say.
                with contextlib.suppress(ImportError):
                    importlib.import_module(module)
            self._settle()

    def kill_all(self) -> None:
        """End every child there is, stopped or not."""
        for pidfd in self._children:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def _reap(self, pidfd: int) -> None:
        pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self._channel.send(Exited(pid, os.waitstatus_to_exitcode(status)))

    def _fork(self, request: ForkDevice, fds: tuple[int, ...] | None) -> None:
        if fds is None:
            self._channel.send(NotForked(request.number, "is at its limit of open files"))
            return
        self._import(request.modules)
        if self._unsafe is not None:  # a lock held by one of them would be held for ever
            close_all(fds)
            self._channel.send(NotForked(request.number, self._unsafe))
            return
        try:
            pid = os.fork()
        except OSError as error:
            close_all(fds)
            self._channel.send(NotForked(request.number, f"cannot fork: {error}"))
            return
        if pid == 0:
            self._become_device(request.place, *fds)
        close_all(fds)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._channel.send(NotForked(request.number, f"cannot fork: {error}"))
            return
        self._children[pidfd] = pid
        self._poll.register(pidfd, select.POLLIN)
        self._channel.send(Forked(request.number, pid), [pidfd])

    def _become_device(self, place: Place, control: int, output: int, directory: int) -> NoReturn:
        """In the child: be what a fresh interpreter would be, then serve the host."""
        exit_code = 1
        try:
            os.dup2(output, 1)
            os.dup2(output, 2)
            _die_with_parent(self._prctl)
            if os.getppid() != self._pid:
                os._exit(exit_code)  # the nursery ended before that took effect
            self._channel.abandon_after_fork()
            close_all((output, *self._children))
            os.setsid()
            place.take(directory)
            os.close(directory)
            importlib.invalidate_caches()  # modules may have been written since
            if "numpy.random" in sys.modules:
                # Python reseeds its own generator after a fork.
                importlib.import_module("numpy.random").seed()
            self._name("edgetpu device")
            from devices.process.main import main

            main(control, self._host_pid, self._pid)
        except BaseException:
            traceback.print_exc()
            with contextlib.suppress(OSError):
                sys.stderr.flush()
        finally:
            os._exit(exit_code)

    def _name(self, name: str) -> None:
        """Show a name where the system lists processes (15 characters)."""
        self._prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
