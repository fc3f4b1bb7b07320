"""A single file that appears whole at the end of a command, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from devices.errors import ConfigError


class PendingFile:
    """A file that will be written beside its place.

    ``fill`` writes it, ``publish`` moves it to its place.  Without a path, both do nothing.
    """

    def __init__(self, option: str, path: Path | None) -> None:
        self._option = option
        self._path = path
        self._hidden: Path | None = None

    @classmethod
    @contextlib.contextmanager
    def at(cls, option: str, path: Path | None) -> Iterator[PendingFile]:
        """Make sure of a place before the work begins; ``option`` is what users call it.

        Raises ``ConfigError`` when nothing can be written there.
        """
        if path is not None:
            _check(option, path)
        pending = cls(option, path)
        try:
            yield pending
        finally:
            if pending._hidden is not None:
                pending._hidden.unlink(missing_ok=True)

    def fill(self, content: Callable[[], str]) -> None:
        """Write what ``content`` gives; it is not called when no file was asked for.

        Raises ``ConfigError`` where it does not fit.
        """
        if self._path is None:
            return
        text = content()
        self._hidden = self._path.with_name(f".{self._path.name}-{secrets.token_hex(4)}")
        try:
            with self._hidden.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise ConfigError(
                f"{self._option} {self._path} cannot be written ({error.strerror or error}); "
                "nothing was written, make room or give another place."
            ) from None

    def publish(self) -> None:
        """Put the file in its place."""
        if self._hidden is not None and self._path is not None:
            os.replace(self._hidden, self._path)


def _check(option: str, path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"{option} {path} is a directory; give the path of a file.")
    if path.exists() and not path.is_file():  # a device, which would be replaced
        raise ConfigError(f"{option} {path} is no regular file; give the path of one.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"{option} {path} cannot be written ({error.strerror or error}); give a file in a "
            "directory that exists and that you can write to."
        ) from None
