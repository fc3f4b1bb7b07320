"""The host's one thread: moves items at both ends while nobody else does, and notices deaths.

It sleeps in ``poll`` on the pipes that matter at the moment and on a pipe of its own, through
which other threads wake it.  It looks around in intervals only while results are popped, because
who pops moves the items himself and has to be relieved when he stops (:mod:`pipeline.attendance`).
"""

from __future__ import annotations

import math
import select
import threading
from collections.abc import Callable

from devices.log_records import SafeLogger
from pipeline.sink import Sink
from pipeline.source import Source
from pipeline.wake_pipe import WakePipe

_logger = SafeLogger(__name__)


class Pump:
    """Runs :class:`Source` and :class:`Sink`, and ``supervise`` after every round.

    ``supervise`` says after how many seconds it wants to be asked again even if nothing happens
    (``None``: not before something does).  If anything raises, ``on_failure`` is told and the
    thread ends.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        wake_pipe: WakePipe,
        *,
        supervise: Callable[[], float | None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._source = source
        self._sink = sink
        self._wake_pipe = wake_pipe
        self._supervise = supervise
        self._on_failure = on_failure
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pipeline pump", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping = True
        self._wake_pipe.wake()
        if threading.current_thread() is not self._thread and self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            patience: float | None = None
            while not self._stopping:
                self._wait(patience)
                self._source.service()
                self._sink.collect()
                patience = self._supervise()
        except BaseException as error:
            if self._stopping:
                return  # closed under its feet, by a runner that was collected in this thread
            _logger.exception("the pump of a pipeline failed")
            self._on_failure(error)

    def _wait(self, patience_s: float | None) -> None:
        poll = select.poll()
        poll.register(self._wake_pipe.fileno(), select.POLLIN)
        rest_s = self._sink.rest_s(self._source.holds_somebody)
        if rest_s == 0:
            for descriptor in (*self._source.interest(), *self._sink.interest()):
                poll.register(descriptor, select.POLLIN)
        elif rest_s is not None and (patience_s is None or rest_s < patience_s):
            patience_s = rest_s
        # Rounded up, or the last part of a millisecond would be spent asking again and again.
        poll.poll(None if patience_s is None else math.ceil(max(0.0, patience_s) * 1000))
        self._wake_pipe.drain()
