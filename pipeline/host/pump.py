"""The host's one thread: moves items at both ends while nobody else does, and notices deaths.

It sleeps in ``poll`` on the pipes that matter at the moment and on a pipe of its own, through which
other threads wake it.  It looks around in intervals only while results are popped, because who pops
moves the items himself and has to be relieved when he stops (:mod:`pipeline.host.attendance`).
"""

from __future__ import annotations

import math
import select
import threading
import time
from collections.abc import Callable

from devices.process import SafeLogger
from pipeline.host.sink import Sink
from pipeline.host.source import Source
from pipeline.host.wake_pipe import WakePipe

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
        self._poll = select.poll()
        self._poll.register(wake_pipe.fileno(), select.POLLIN)
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
        """Sleep until something happened, a supervisor's time is over, or it is our turn."""
        due = None if patience_s is None else time.monotonic() + patience_s
        rested = False
        while True:
            poll = self._poll
            rest_s = self._sink.rest_s(self._source.holds_somebody)
            if rest_s == 0:
                if rested:
                    return  # nobody came back: first do what there is to do
                poll = select.poll()
                poll.register(self._wake_pipe.fileno(), select.POLLIN)
                for descriptor in (*self._source.interest(), *self._sink.interest()):
                    poll.register(descriptor, select.POLLIN)
            left_s = None if due is None else max(0.0, due - time.monotonic())
            sleep_s, rested = left_s, False
            if rest_s and (left_s is None or rest_s < left_s):
                sleep_s, rested = rest_s, True
            # Rounded up, or the last part of a millisecond would be spent asking again and again.
            if poll.poll(None if sleep_s is None else math.ceil(sleep_s * 1000)):
                self._wake_pipe.drain()
                return
            if not rested:
                return
            # Somebody pops: ask again whether it is our turn, and disturb nobody if not.
