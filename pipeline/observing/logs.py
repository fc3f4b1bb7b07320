"""One stream for the log lines of all processes, each saying which device and segment it is of.

::

    device process ── control connection ──► host ─┐
    device process ── control connection ──► host ─┤ root logger ─► file or stream
    a child forked by the program ──── queue ──────┘
                            (multiprocessing-logging)

    12:00:00.123 usb:1 segment 1 INFO ...
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from devices.errors import ConfigError
from devices.process import LogFields

HOST = "host"
"""What stands in place of a device in lines of the program itself."""


class LogFormatter(logging.Formatter):
    """Time, device, segment if there is one, level and message of a record."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03d %(place)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
        )

    def format(self, record: logging.LogRecord) -> str:
        """The line, followed by the stack of an exception if there is one."""
        place = getattr(record, "device", None)
        if place is None:
            place = HOST if record.processName == "MainProcess" else record.processName
        segment = getattr(record, "segment", None)
        record.place = f"{place}" if segment is None else f"{place} segment {segment}"
        return super().format(record)


class LogStream(logging.Handler):
    """Writes lines to a stream; those that cannot be written are counted and reported later.

    So a full disk costs log lines and nothing else.  Give either a text ``stream``, or a ``file``
    to append to; lines reach the file whole and unbuffered.
    """

    def __init__(self, stream: TextIO | None = None, file: Path | None = None) -> None:
        """Open the file.  Raises ``ConfigError`` if that fails."""
        super().__init__()
        self._stream = stream
        self._descriptor: int | None = None
        if file is not None:
            try:
                self._descriptor = os.open(
                    file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666
                )
            except OSError as error:
                raise ConfigError(
                    f"{file} cannot be written: {error}; choose another file for the log."
                ) from error
        self.lost = 0
        self._broken_line = False
        self._reason: Exception | None = None
        self.setFormatter(LogFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line, if that is possible."""
        try:
            text = self.format(record) + "\n"
        except Exception:
            self.handleError(record)
            return
        if self.lost:
            text = f"{self.lost} log lines were lost: {self._reason}\n{text}"
        if self._broken_line:
            text = "\n" + text
        try:
            self._write(text)
        except (OSError, ValueError) as error:  # full, gone, or closed
            self.lost += 1
            self._reason = error
        else:
            self.lost = 0
            self._broken_line = False

    def _write(self, text: str) -> None:
        if self._descriptor is None:
            stream = self._stream or sys.stderr
            stream.write(text)
            stream.flush()
            return
        rest = memoryview(text.encode(errors="replace"))
        while rest:
            written = os.write(self._descriptor, rest)
            rest = rest[written:]
            self._broken_line = bool(rest)

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            if self._descriptor is not None and self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1  # a late line is lost, and counted
        finally:
            self.release()
        super().close()


class _OneStream(logging.Handler):
    """Writes records of this process at once, and takes those of forked children from a queue.

    Sending its own through the queue, too, as multiprocessing-logging does on its own, would lose
    the last ones: at exit :mod:`multiprocessing` closes the queue's reading end under its reader.
    """

    def __init__(self, stream: LogStream) -> None:
        super().__init__()
        self._stream = stream
        self._owner = os.getpid()
        self._from_children = _queue_of_children(stream)
        self.addFilter(LogFields())

    def emit(self, record: logging.LogRecord) -> None:
        if os.getpid() == self._owner:
            self._stream.handle(record)
        elif self._from_children is not None:
            self._from_children.handle(record)

    def close(self) -> None:
        if self._from_children is not None:
            self._from_children.close()
        self._stream.close()
        super().close()


class _Delivery(logging.Handler):
    """What the thread that reads the queue calls, without the stream's lock."""

    def __init__(self, stream: LogStream) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        self._stream.handle(record)


def _queue_of_children(stream: LogStream) -> logging.Handler | None:
    import multiprocessing  # here, as device processes must not pay for it

    if multiprocessing.get_start_method() != "fork":
        return None
    from multiprocessing_logging import install_mp_handler

    # It wraps all handlers of a logger, and those of the root that are not ours are not ours.
    alone = logging.Logger("alone")
    alone.addHandler(_Delivery(stream))
    install_mp_handler(alone)
    (wrapped,) = alone.handlers
    return wrapped


_installed: tuple[logging.Handler, int] | None = None  # and the level there was before


def configure_logging(
    level: int | str = logging.INFO,
    *,
    stream: TextIO | None = None,
    file: str | Path | None = None,
) -> logging.Handler:
    """Send the log lines of this program, its devices and its forked children to one place.

    That is ``file``, to which is appended, or ``stream`` (default: standard error).  Call it
    before making devices, which take the level over when they start.  Calling it again replaces
    what the last call set up; other handlers of the root logger stay.

    Children of a :mod:`multiprocessing` set to another start method than ``fork`` inherit no
    handlers and have to set up their own logging; devices are not affected by this.

    Raises ``ConfigError`` if the file cannot be written, or if both or an unknown level are given.
    """
    global _installed
    if stream is not None and file is not None:
        raise ConfigError("Log lines go to a stream or to a file; give one of them, not both.")
    if isinstance(level, str) and not isinstance(logging.getLevelName(level), int):
        raise ConfigError(
            f"The log level is {level!r}, but it must be DEBUG, INFO, WARNING, ERROR or CRITICAL."
        )
    handler = _OneStream(LogStream(stream, None if file is None else Path(file)))
    remove_logging()
    root = logging.getLogger()
    _installed = handler, root.level
    root.addHandler(handler)
    root.setLevel(level)
    return handler


def remove_logging() -> None:
    """Write out what is under way and undo :func:`configure_logging`."""
    global _installed
    if _installed is not None:
        handler, level = _installed
        _installed = None
        root = logging.getLogger()
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
