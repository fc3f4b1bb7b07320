"""The host's one thread: moves items at both ends and notices when a stage is gone.

It sleeps in ``poll`` on the pipes that matter at the moment and on a pipe of its own, through
which other threads wake it.  There is no interval at which it looks around.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress

from pipeline.sink import Sink
from pipeline.source import Source

_logger = logging.getLogger(__name__)


class WakePipe:
    """A pipe to oneself: ``wake`` from any thread makes ``fileno`` readable."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        # Reentrant, because the collector may drop the runner, which wakes, during a wake.
        self._lock = threading.RLock()
        self._closed = False

    def fileno(self) -> int:
        """The end to wait on."""
        return self._read

    def wake(self) -> None:
        """Make the other end readable; does nothing after :meth:`close`."""
        with self._lock, suppress(BlockingIOError):  # full: it is readable already
            if not self._closed:
                os.write(self._write, b"\0")

    def drain(self) -> None:
        """Forget all wakes so far."""
        with suppress(BlockingIOError):
            os.read(self._read, 4096)

    def close(self) -> None:
        """Close both ends."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._read)
                os.close(self._write)


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

    def _wait(self, patience: float | None) -> None:
        poll = select.poll()
        poll.register(self._wake_pipe.fileno(), select.POLLIN)
        for descriptor in (*self._source.interest(), *self._sink.interest()):
            poll.register(descriptor, select.POLLIN)
        poll.poll(None if patience is None else max(0.0, patience) * 1000)
        self._wake_pipe.drain()
