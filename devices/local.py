"""A device inside this process, for tests and debugging.

Same interface and same behaviour as a device process, as far as one process allows: its programs
are threads, and it cannot die.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from devices.chip import Pacer
from devices.device import (
    Chip,
    DescribedDevice,
    Health,
    Link,
    Loaded,
    Program,
    ProgramHandle,
    Tensor,
    Timing,
)
from devices.errors import DeviceDied, DeviceError
from devices.process import ProgramThread, close_all, infer, reset

_GRACE_S = 2.0


class LocalDevice(DescribedDevice):
    """A :class:`~devices.device.Device` around a chip in this process."""

    def __init__(self, chip: Chip, *, link: Link = "usb") -> None:
        """Wrap ``chip``; ``link`` is only what the device says of itself."""
        self._chip = chip
        super().__init__(chip.name, link, chip.clock, chip.compute)
        self._chip_lock = threading.RLock()
        self._lock = threading.Lock()
        self._pacer = Pacer()
        self._loaded: dict[int, Loaded] = {}
        self._programs: list[_LocalProgram] = []
        self._closed = False

    def load(self, executable: Path) -> Loaded:
        """Register an executable file.  Raises ``ModelError``."""
        with self._chip_lock:
            self.check_open()
            loaded = self._chip.load(Path(executable).absolute())
            self._loaded[loaded.handle] = loaded
        return loaded

    def run(self, handle: int, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Timing]:
        """One inference.  Raises ``TensorError``, ``DeviceError``."""
        with self._chip_lock:
            self.check_open()
            return infer(self._chip, self._loaded, self._pacer, handle, tensors)

    def reset(self, handle: int) -> None:
        """Have a recurrent model begin afresh.  Raises ``DeviceError``."""
        with self._chip_lock:
            self.check_open()
            reset(self._chip, self._loaded, handle)

    def unload(self, handle: int) -> None:
        """Forget an executable."""
        with self._chip_lock:
            self.check_open()
            self._chip.unload(handle)
            self._loaded.pop(handle, None)

    def start_program(
        self,
        program: Program,
        fds: Sequence[int],
        config: Any,
        *,
        on_event: Callable[[Any], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> ProgramHandle:
        """Run ``program`` in a thread; see :meth:`devices.device.Device.start_program`."""
        with self._lock:
            self.check_open()
            handle = _LocalProgram(self, program, fds, config, on_event, on_exit)
            self._programs.append(handle)
        handle.thread.start()
        return handle

    def health(self) -> Health:
        """What the device says of itself."""
        return Health(
            alive=not self._closed,
            pid=None if self._closed else os.getpid(),
            loaded=len(self._loaded),
            inferences=getattr(self._chip, "inferences", 0),
            rss_bytes=0,
            overruns=self._pacer.overruns,
        )

    def close(self) -> None:
        """Stop the programs, wait a bounded time for them, and refuse further work."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            programs = list(self._programs)
        for program in programs:
            program.stop()
        for program in programs:
            if not program.thread.join(_GRACE_S):
                program.conclude(self._death())
        for handle in list(self._loaded):
            self._chip.unload(handle)
        self._loaded.clear()

    def check_open(self) -> None:
        """Raise ``DeviceDied`` once the device is closed."""
        if self._closed:
            raise self._death()

    def _death(self) -> DeviceDied:
        return DeviceDied(
            f"device {self.name} is closed, so it cannot do anything more; open a new one",
            device=self.name,
        )

    def forget(self, program: _LocalProgram) -> None:
        """Called by a program that has ended."""
        with self._lock:
            if program in self._programs:
                self._programs.remove(program)


class _LocalProgram:
    """A running program; implements :class:`~devices.device.ProgramHandle`."""

    def __init__(
        self,
        device: LocalDevice,
        program: Program,
        fds: Sequence[int],
        config: Any,
        on_event: Callable[[Any], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> None:
        self._device = device
        self._on_exit = on_exit
        self._lock = threading.Lock()
        self._told = False
        self._ended = threading.Event()
        self._logger = logging.getLogger(f"edgetpu.device.{device.name}")
        self.thread = ProgramThread(
            f"device {device.name} program",
            lambda: (program, config),
            chip=device._chip,
            chip_lock=device._chip_lock,
            fds=_duplicate(fds, device.name),
            report=on_event,
            on_exit=self.conclude,
        )

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Deliver a message and duplicates of ``fds``."""
        self._device.check_open()
        self.thread.deliver(message, _duplicate(fds, self._device.name))

    def stop(self) -> None:
        """Ask the program to end."""
        self.thread.stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until ``on_exit`` has been called; False on timeout."""
        return self._ended.wait(timeout)

    def conclude(self, error: BaseException | None) -> None:
        """Tell ``on_exit``, the first time only."""
        with self._lock:
            if self._told:
                return
            self._told = True
        self._device.forget(self)
        try:
            self._on_exit(error)
        except Exception:
            self._logger.exception("on_exit of a program on device %s failed", self._device.name)
        finally:
            self._ended.set()


def _duplicate(fds: Sequence[int], device: str) -> tuple[int, ...]:
    copies: list[int] = []
    try:
        for fd in fds:
            copies.append(os.dup(fd))
    except OSError as error:
        close_all(copies)
        raise DeviceError(
            f"device {device} cannot be handed the file descriptors {list(fds)}: {error}"
        ) from error
    return tuple(copies)
