"""A program running next to a chip: one thread with an inbox.

Used inside a device process and by :class:`~devices.local.LocalDevice`, so that a program
cannot tell the two apart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from devices.device import Chip, Program, ProgramContext
from devices.process.control import close_all
from devices.process.log_records import add_log_fields


class ProgramThread:
    """Runs one program and tells exactly once how it ended.

    ``prepare`` gives the program and its configuration; it runs in the thread and may raise
    (objects that cannot be rebuilt), which ends the program with that error and closes ``fds``.
    """

    def __init__(
        self,
        name: str,
        prepare: Callable[[], tuple[Program, Any]],
        *,
        chip: Chip,
        chip_lock: Any,
        fds: tuple[int, ...],
        report: Callable[[Any], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> None:
        self._prepare = prepare
        self._context = ProgramContext(
            chip=chip, fds=fds, config=None, chip_lock=chip_lock, report=report
        )
        self._on_exit = on_exit
        self._failure: BaseException | None = None
        self._ending = threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def deliver(self, message: Any, fds: tuple[int, ...]) -> None:
        """Put a message and descriptors (owned by the program from here on) into the inbox."""
        with self._ending:
            if not self._ended:
                self._context.inbox.put((message, fds))
                return
        close_all(fds)  # nobody will take them out any more

    def stop(self) -> None:
        """Put ``None`` into the inbox."""
        self._context.inbox.put(None)

    def fail(self, error: BaseException) -> None:
        """Ask the program to stop because of ``error``, with which it will be said to end."""
        self._failure = error
        self.stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; False on timeout."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        error: BaseException | None = None
        add_log_fields(device=self._context.chip.name)
        try:
            program, self._context.config = self._prepare()
        except BaseException as problem:
            close_all(self._context.fds)
            error = problem
        else:
            try:
                program(self._context)
            except BaseException as problem:
                error = problem
        self._close_undelivered()
        self._on_exit(error if error is not None else self._failure)

    def _close_undelivered(self) -> None:
        """Close descriptors in messages that the program never took out of its inbox."""
        with self._ending:
            self._ended = True
        while not self._context.inbox.empty():
            item = self._context.inbox.get()
            if item is not None:
                close_all(item[1])
