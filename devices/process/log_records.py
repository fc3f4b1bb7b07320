"""Log records that say where they come from, and logging that cannot do harm.

Every record of a device process, and of a program on any device, carries ``device`` (its name)
and whatever the program adds for its thread, such as the ``segment`` a pipeline stage runs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

_fields: ContextVar[Mapping[str, Any] | None] = ContextVar("log fields", default=None)


def add_log_fields(**fields: Any) -> None:
    """From now on records of this thread carry these attributes (see :class:`LogFields`)."""
    _fields.set({**(_fields.get() or {}), **fields})


class LogFields(logging.Filter):
    """A filter that lets everything pass and adds the fields of the thread that logs.

    ``defaults`` are for threads that have none.  A record that has an attribute already keeps it.
    """

    def __init__(self, **defaults: Any) -> None:
        super().__init__()
        self._defaults = defaults

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete the record."""
        for name, value in {**self._defaults, **(_fields.get() or {})}.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class SafeLogger:
    """A logger for threads that must go on whatever a user's log handler does.

    A handler that raises, say because the disk is full, would otherwise end the thread that
    listens to a device, and with it the device.  ``fields`` become attributes of every record.
    """

    def __init__(self, name: str, **fields: Any) -> None:
        self.logger = logging.getLogger(name)
        self._fields = fields

    @property
    def name(self) -> str:
        """The logger's name."""
        return self.logger.name

    def debug(self, message: str, *arguments: object) -> None:
        """Log for those who look for a fault."""
        self._log(logging.DEBUG, message, arguments)

    def info(self, message: str, *arguments: object) -> None:
        """Log what is of interest."""
        self._log(logging.INFO, message, arguments)

    def warning(self, message: str, *arguments: object) -> None:
        """Log what should not be."""
        self._log(logging.WARNING, message, arguments)

    def exception(self, message: str, *arguments: object) -> None:
        """Log an error with the exception that is being handled."""
        self._log(logging.ERROR, message, arguments, exc_info=True)

    def handle(self, record: logging.LogRecord) -> None:
        """Pass on a record made elsewhere, to the logger it names."""
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            with suppress(Exception):
                logger.handle(record)

    def _log(
        self, level: int, message: str, arguments: tuple[object, ...], exc_info: bool = False
    ) -> None:
        with suppress(Exception):
            self.logger.log(
                level,
                message,
                *arguments,
                exc_info=exc_info,
                extra=self._fields,
                stacklevel=3,  # whoever called debug, info, ...
            )
