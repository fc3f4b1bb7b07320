"""What runs inside a device process.

The main thread only listens, so that the host's death is noticed whatever the chip is doing::

    main thread      receives control messages; end-of-file -> the process is gone at once
    "requests"       load, run, unload: one after the other
    "answers"        what the main thread has to say: it never sends, so that it always listens
    "program-<n>"    one thread for each running program

A device process never outlives its host, shares no memory with it and inherits nothing from it but
one socket: it is a fresh interpreter, or forked from one (:mod:`devices.nursery`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import queue
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from devices.chip import Pacer
from devices.device import Chip, Health, Loaded, Program, Tensor, Timing
from devices.errors import DeviceError
from devices.process.affinity import run_on
from devices.process.carried_error import carry
from devices.process.control import (
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
)
from devices.process.inference import infer, reset
from devices.process.log_records import LogFields
from devices.process.programs import ProgramThread
from devices.process.serving import serve_and_exit
from devices.status import StatusPage


def main(fd: int, host_pid: int) -> NoReturn:
    """Serve the host, which has started this process itself, at the other end of ``fd``."""
    os.set_inheritable(fd, False)
    channel = ControlChannel(socket.socket(fileno=fd), host_pid)
    serve_and_exit(lambda: serve(channel), parent_pid=host_pid)


def serve(channel: ControlChannel) -> None:
    """Be the device the host wants until it says so; ``EOFError`` when the host is gone."""
    server = _configure(channel)
    if server is not None:
        server.serve()


def _configure(channel: ControlChannel) -> DeviceServer | None:
    message, _ = channel.receive()
    assert isinstance(message, Configure)
    handler = _ControlHandler(channel, message.name)
    logging.basicConfig(level=message.log_level, handlers=[handler])
    logging.captureWarnings(True)
    threading.current_thread().name = message.name
    try:
        if message.cpu_affinity is not None:
            run_on(message.cpu_affinity)  # before any other thread exists, which will inherit it
        chip: Chip = pickle.loads(message.factory)()
    except BaseException as error:
        channel.send(Ready(carry(error)))
        return None
    with contextlib.suppress(OSError):  # without descriptors to spare nobody can look, that is all
        if hasattr(chip, "show_on"):
            chip.show_on(StatusPage(channel.peer_pid))
    channel.send(Ready())
    return DeviceServer(channel, chip)


class DeviceServer:
    """Answers the host's messages on behalf of one chip."""

    def __init__(self, channel: ControlChannel, chip: Chip) -> None:
        self._channel = channel
        self._chip = chip
        self._chip_lock = threading.RLock()
        self._pacer = Pacer()
        self._loaded: dict[int, Loaded] = {}
        self._programs: dict[int, ProgramThread] = {}
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Request | ProgramExit] = queue.SimpleQueue()

    def serve(self) -> NoReturn:
        """Handle messages; ends with ``EOFError`` when the host is gone."""
        for work in (self._serve_requests, self._serve_answers):
            threading.Thread(target=work, name=work.__name__[7:], daemon=True).start()
        while True:
            self._handle(*self._channel.receive())

    def _handle(self, message: object, fds: tuple[int, ...] | None) -> None:
        if isinstance(message, Request):
            # A device whose chip hangs still tells its health.
            queue_of = self._answers if message.method == "health" else self._requests
            queue_of.put(message)
        elif isinstance(message, StartProgram):
            self._start(message, fds)
        elif isinstance(message, Deliver):
            self._deliver(message, fds)
        elif isinstance(message, StopProgram):
            program = self._programs.get(message.program)
            if program is not None:
                program.stop()
        elif isinstance(message, Shutdown):
            threading.Thread(target=self._shut_down, args=(message.grace_s,), daemon=True).start()

    # -- requests ------------------------------------------------------------------------------

    def _serve_requests(self) -> None:
        while True:
            request = self._requests.get()
            try:
                value = getattr(self, f"_{request.method}")(*request.arguments)
                reply = Reply(request.number, value)
            except BaseException as error:
                reply = Reply(request.number, error=carry(error))
            try:
                self._channel.send(reply)
            except EOFError:
                return

    def _serve_answers(self) -> None:
        while True:
            item = self._answers.get()
            try:
                if isinstance(item, Request):
                    self._channel.send(Reply(item.number, self._health()))
                else:
                    self._channel.send(item)
            except EOFError:
                return

    def _load(self, executable: Path) -> Loaded:
        with self._chip_lock:
            loaded = self._chip.load(executable)
        self._loaded[loaded.handle] = loaded
        return loaded

    def _run(self, handle: int, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Timing]:
        with self._chip_lock:
            return infer(self._chip, self._loaded, self._pacer, handle, tensors)

    def _reset(self, handle: int) -> None:
        with self._chip_lock:
            reset(self._chip, self._loaded, handle)

    def _unload(self, handle: int) -> None:
        with self._chip_lock:
            self._chip.unload(handle)
        self._loaded.pop(handle, None)

    def _health(self) -> Health:
        return Health(
            alive=True,
            pid=os.getpid(),
            loaded=len(self._loaded),
            # Programs use the chip directly, so only the chip can count; one need not.
            inferences=getattr(self._chip, "inferences", 0),
            rss_bytes=resident_bytes(),
            overruns=self._pacer.overruns,
        )

    # -- programs ------------------------------------------------------------------------------

    def _start(self, message: StartProgram, fds: tuple[int, ...] | None) -> None:
        number = message.program
        if fds is None:
            self._answers.put(ProgramExit(number, carry(self._too_many_open_files())))
            return

        def prepare() -> tuple[Program, Any]:
            try:
                program, config = pickle.loads(message.body)
            except BaseException as error:
                raise DeviceError(
                    f"device {self._chip.name} cannot rebuild a program or its configuration "
                    f"({type(error).__name__}: {error}); it must be importable there, so define "
                    "it at the top level of a module"
                ) from error
            return program, config

        def report(payload: Any) -> None:
            self._channel.send(ProgramEvent(number, pickle.dumps(payload, protocol=5)))

        def ended(error: BaseException | None) -> None:
            self._programs.pop(number, None)
            with contextlib.suppress(EOFError):  # the host is gone: nobody is left to tell
                self._channel.send(ProgramExit(number, None if error is None else carry(error)))

        program = ProgramThread(
            f"program-{number}",
            prepare,
            chip=self._chip,
            chip_lock=self._chip_lock,
            fds=fds,
            report=report,
            on_exit=ended,
        )
        self._programs[number] = program
        program.start()

    def _deliver(self, message: Deliver, fds: tuple[int, ...] | None) -> None:
        program = self._programs.get(message.program)
        if program is None:  # it ended while the message was under way
            close_all(fds or ())
            return
        if fds is None:
            program.fail(self._too_many_open_files())
            return
        try:
            body = pickle.loads(message.body)
        except BaseException as error:
            close_all(fds)
            program.fail(
                DeviceError(
                    f"device {self._chip.name} cannot rebuild a message sent to a program "
                    f"({type(error).__name__}: {error}); send objects of importable classes"
                )
            )
            return
        program.deliver(body, fds)

    def _too_many_open_files(self) -> DeviceError:
        return DeviceError(
            f"device {self._chip.name} could not take the file descriptors sent to it: its process "
            "is at its limit of open files; raise the limit (ulimit -n) or use fewer channels"
        )

    def _shut_down(self, grace_s: float) -> None:
        deadline = time.monotonic() + grace_s
        programs = list(self._programs.values())
        for program in programs:
            program.stop()
        for program in programs:
            program.join(max(0.0, deadline - time.monotonic()))
        self._close_chip(deadline)
        self._channel.close()  # wakes the main thread, which ends the process

    def _close_chip(self, deadline: float) -> None:
        """Let a chip that has something to put away do so; the host does not wait for long."""
        close = getattr(self._chip, "close", None)
        if close is None or not self._chip_lock.acquire(
            timeout=max(0.0, deadline - time.monotonic())
        ):
            return
        try:
            close()
        except Exception:
            logging.getLogger().exception("device %s could not be closed", self._chip.name)
        finally:
            self._chip_lock.release()


class _ControlHandler(logging.Handler):
    """Sends log records to the host, ready formatted."""

    def __init__(self, channel: ControlChannel, device: str) -> None:
        super().__init__()
        self._channel = channel
        self._device = device
        self.addFilter(LogFields(device=device))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            attributes = dict(record.__dict__)
            attributes["msg"] = record.getMessage()
            attributes["args"] = None
            attributes["processName"] = self._device
            if record.exc_info:
                formatter = self.formatter or logging.Formatter()
                attributes["exc_text"] = formatter.formatException(record.exc_info)
            attributes["exc_info"] = None
            try:
                pickle.dumps(attributes)
            except Exception:  # something in ``extra=`` cannot travel
                attributes = {
                    key: value
                    for key, value in attributes.items()
                    if isinstance(value, str | int | float | None)
                }
            self._channel.send(Logged(attributes))
        except EOFError:
            pass  # the host is gone, and with it whoever would read this
        except Exception:
            self.handleError(record)


def resident_bytes() -> int:
    """Memory of this process that is in RAM now (0 where the system does not tell).

    Pages it still shares with the nursery and its other children (most of what was imported, some
    tens of megabytes) count in each: the sum over devices is more than the machine spends.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
