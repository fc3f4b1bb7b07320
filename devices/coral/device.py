"""A real Edge TPU as the host sees it."""

from __future__ import annotations

import queue
from collections.abc import Mapping
from functools import partial
from typing import cast

from devices.coral.chip import CoralChip
from devices.coral.library import LIBRARY
from devices.coral.listing import CoralRecord, remember_opened
from devices.coral.registration import Layout
from devices.device import ProgramContext
from devices.errors import DeviceError
from devices.hosted import Deadlines, ProcessDevice

CLOSE_S = 5.0
"""For giving a device back: libedgetpu waits up to 3 s until a stick is there again."""


class CoralDevice(ProcessDevice):
    """A real Edge TPU behind the :class:`~devices.device.Device` interface.

    It is opened in a process of its own, so whatever its library does ends that alone.
    """

    def __init__(
        self,
        record: CoralRecord,
        *,
        library: str = LIBRARY,
        options: Mapping[str, str] | None = None,
        verbosity: int = 0,
        deadlines: Deadlines | None = None,
        wait: bool = True,
    ) -> None:
        """Open it by its path.

        ``options`` are libedgetpu's: ``Performance``, ``Usb.AlwaysDfu``,
        ``Usb.MaxBulkInQueueLength``; ``verbosity``, 0 to 10, is how much it logs, as DEBUG records
        of the logger ``edgetpu.device.NAME``.  Raises ``DeviceError``.
        """
        self.record = record
        self._library = library
        self._options = dict(options or {})
        self._verbosity = verbosity
        super().__init__(
            record.name,
            partial(CoralChip, record, library, self._options, verbosity),
            link=record.link,
            clock="realtime",
            compute="exact",
            deadlines=deadlines or Deadlines(close_s=CLOSE_S),
            wait=False,
        )
        remember_opened(self)
        if wait:
            self.wait_ready()

    def opened_anew(self) -> CoralDevice:
        """The same device in a new process, not ready yet; this one must be closed.

        Raises ``DeviceError``.
        """
        return CoralDevice(
            self.record,
            library=self._library,
            options=self._options,
            verbosity=self._verbosity,
            deadlines=self._deadlines,
            wait=False,
        )

    def registration_layout(self) -> Layout | None:
        """What the library hands to LiteRT; ``None`` before a model is loaded.

        Raises ``DeviceError``, ``DeviceDied``.
        """
        told: queue.SimpleQueue[Layout | None] = queue.SimpleQueue()
        ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        program = self.start_program(_tell_layout, (), None, on_event=told.put, on_exit=ends.put)
        if not program.join(self._deadlines.answer_s):
            raise DeviceError(f"device {self.name} does not answer; close it and open it again")
        error = ends.get_nowait()
        if error is not None:
            raise error
        return told.get_nowait()


def _tell_layout(context: ProgramContext) -> None:
    context.report(cast(CoralChip, context.chip).layout)
