"""A real Edge TPU as the host sees it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from devices.coral.chip import CoralChip
from devices.coral.library import LIBRARY
from devices.coral.listing import CoralRecord, remember_opened
from devices.hosted import Deadlines, ProcessDevice


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
        super().__init__(
            record.name,
            partial(CoralChip, record, library, dict(options or {}), verbosity),
            link=record.link,
            clock="realtime",
            compute="exact",
            deadlines=deadlines,
            wait=False,
        )
        remember_opened(self)
        if wait:
            self.wait_ready()
