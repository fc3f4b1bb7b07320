"""The host's one thread: moves items at both ends, notices deaths, and releases all at the end.

It sleeps in ``poll`` on the pipes that matter at the moment and on a pipe of its own, through which
other threads wake it.  Signal handlers run in the main thread only, so nothing it does is ever
interrupted; that is why whatever takes more than one step is done here.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from devices.errors import DeviceError
from devices.process import SafeLogger
from pipeline.host.changed import LONGEST_S, Changed
from pipeline.host.sink import Sink
from pipeline.host.source import Source
from pipeline.host.wake_pipe import WakePipe

_logger = SafeLogger(__name__)


class Pump:
    """Runs :class:`Source` and :class:`Sink`, and ``supervise`` after every round.

    ``supervise`` says after how many seconds it wants to be asked again even if nothing happens
    (``None``: not before something does).  If anything raises, ``on_failure`` is told and nothing
    moves any more.  ``release`` is called last of all.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        wake_pipe: WakePipe,
        *,
        supervise: Callable[[], float | None],
        on_failure: Callable[[BaseException], None],
        release: Callable[[], None],
    ) -> None:
        self._source = source
        self._sink = sink
        self._wake_pipe = wake_pipe
        self._supervise = supervise
        self._on_failure = on_failure
        self._release = release
        self._stopping = False
        self._stopped = False
        self._failure: BaseException | None = None
        self._changed = Changed()
        self._thread = threading.Thread(target=self._run, name="pipeline pump", daemon=True)

    @property
    def ended(self) -> bool:
        """Whether everything was released."""
        return self._stopped

    def start(self) -> None:
        """Begin.  Raises ``DeviceError`` if there is no thread to be had."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise DeviceError(
                f"A pipeline needs a thread, and {error}; raise the limit (ulimit -u), or end some."
            ) from error

    def stop(self) -> None:
        """Have everything released, and wait for it.  May be interrupted, and called again.

        Raises what the release raised.
        """
        self._stopping = True
        self._wake_pipe.wake()
        if threading.current_thread() is self._thread:
            return  # the collector found a runner here: it is done when this thread comes to it
        self._changed.wait(lambda: self._stopped, None)
        self._thread.join()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _run(self) -> None:
        try:
            while self._goes_on():
                self._source.service()
                self._sink.collect()
                self._sleep(self._supervise())
        except BaseException as error:
            _logger.exception("the pump of a pipeline failed")
            self._on_failure(error)
            self._source.close()
        while self._goes_on():
            self._wake_pipe.sleep((), None)
        try:
            self._release()
        except BaseException as error:
            self._failure = error
        self._stopped = True
        self._changed.tell()

    def _goes_on(self) -> bool:
        self._wake_pipe.forget()  # before anything is looked at
        return not self._stopping

    def _sleep(self, patience_s: float | None) -> None:
        self._wake_pipe.sleep(
            (*self._source.interest(), *self._sink.interest()),
            # Rounded up, or the last part of a millisecond would be spent asking again and again.
            None if patience_s is None else math.ceil(min(patience_s, LONGEST_S) * 1000),
        )
