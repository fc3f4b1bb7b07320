"""A device whose chip lives in a process of its own, as the host sees it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from devices.device import (
    Chip,
    Clock,
    Compute,
    DescribedDevice,
    Health,
    Link,
    Loaded,
    Program,
    ProgramHandle,
    Tensor,
    Timing,
)
from devices.errors import DeviceError
from devices.hosted.connection import Connection, close_together
from devices.hosted.deadlines import Deadlines


class ProcessDevice(DescribedDevice):
    """A :class:`~devices.device.Device` whose chip lives in a process of its own.

    ``factory`` makes the chip there; it is pickled, so a ``functools.partial`` over an importable
    class does.  With ``wait=False`` the constructor only starts the process, and
    :meth:`wait_ready` must be called before use: that is how a pool starts many at once.
    ``cpu_affinity`` are the CPUs the process may run on.  ``modules`` is what many devices of the
    kind import: done once, in the nursery they are forked from (:mod:`devices.nursery.start`), so
    nothing that starts threads, opens hardware or belongs to a user.  ``deadlines`` bound every
    call: a device that hangs or is stopped is killed, which its ``DeviceDied`` says.

    Closing happens by :meth:`close`, when the object is collected, or when the interpreter exits;
    and a process whose host is gone, however it went, leaves by itself.
    """

    def __init__(
        self,
        name: str,
        factory: Callable[[], Chip],
        *,
        link: Link,
        clock: Clock,
        compute: Compute,
        cpu_affinity: tuple[int, ...] | None = None,
        modules: tuple[str, ...] = (),
        deadlines: Deadlines | None = None,
        wait: bool = True,
    ) -> None:
        super().__init__(name, link, clock, compute)
        self._deadlines = deadlines or Deadlines()
        self._connection = Connection(name, factory, cpu_affinity, modules, self._deadlines)
        self._finalizer = weakref.finalize(self, self._connection.close)
        self._finalizer.atexit = False  # connections are closed together there
        if wait:
            self.wait_ready()

    @property
    def pid(self) -> int:
        """Process id of the device process."""
        return self._connection.pid

    @property
    def alive(self) -> bool:
        """Whether the process is there, as far as the host has noticed; asks nobody."""
        return self._connection.alive

    @property
    def exit_code(self) -> int | None:
        """How the process ended, as in ``subprocess``; ``None`` while it is there."""
        return self._connection.exit_code

    def wait_ready(self) -> None:
        """Wait until the chip exists.

        Raises what its construction raised, or :class:`DeviceError` with the process's output if
        it did not come that far (within ``deadlines.start_s``); the process is gone then.
        """
        try:
            self._connection.wait_ready()
        except BaseException:
            self.close()
            raise

    def load(self, executable: Path) -> Loaded:
        """Register an executable file.  Raises ``ModelError``, ``DeviceDied``."""
        loaded: Loaded = self._connection.call(
            "load", Path(executable).absolute(), within_s=self._deadlines.load_s
        )
        return loaded

    def run(self, handle: int, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Timing]:
        """One inference.  Raises ``TensorError``, ``DeviceError``, ``DeviceDied``."""
        result: tuple[dict[str, Tensor], Timing]
        result = self._connection.call("run", handle, dict(tensors), within_s=self._deadlines.run_s)
        return result

    def reset(self, handle: int) -> None:
        """Have a recurrent model begin afresh.  Raises ``DeviceError``, ``DeviceDied``."""
        self._connection.call("reset", handle, within_s=self._deadlines.run_s)

    def unload(self, handle: int) -> None:
        """Forget an executable.  Raises ``DeviceError`` if the device does not answer in time."""
        self._connection.call("unload", handle, within_s=self._deadlines.answer_s, fatal=False)

    def start_program(
        self,
        program: Program,
        fds: Sequence[int],
        config: Any,
        *,
        on_event: Callable[[Any], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> ProgramHandle:
        """Run ``program`` next to the chip; see :meth:`devices.device.Device.start_program`.

        Raises ``DeviceDied`` when the device is gone already (``on_exit`` is not called then) and
        :class:`DeviceError` when the program cannot be sent.
        """
        handle = self._connection.start_program(program, fds, config, on_event, on_exit)
        handle.keep_alive = self
        return handle

    def health(self) -> Health:
        """Ask the device; never raises.

        One that is dead has no ``pid``; one that does not answer in time keeps it.
        """
        try:
            health: Health = self._connection.call(
                "health", within_s=self._deadlines.answer_s, fatal=False
            )
        except DeviceError:
            pid = self.pid if self.alive else None
            return Health(alive=False, pid=pid, loaded=0, inferences=0, rss_bytes=0)
        return health

    def kill(self) -> None:
        """End the process at once, however it hangs; everyone is told as of any other death."""
        self._connection.kill()

    def ask_to_close(self) -> None:
        """Ask the process to end without waiting for it; :meth:`close` then does the rest."""
        self._connection.ask_to_close()

    def close(self) -> None:
        """End the process: asked first, killed after a bounded time."""
        self._finalizer.detach()
        self._connection.close()


def close_devices(devices: Sequence[ProcessDevice]) -> None:
    """Close several in the time of one."""
    for device in devices:
        device._finalizer.detach()
    close_together([device._connection for device in devices])
