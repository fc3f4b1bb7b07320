"""A single file that appears whole at the end of a command, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from devices.errors import ConfigError


class PendingFile:
    """A file being written beside its place.

    ``fill`` writes it, ``publish`` moves it to its place.  Without a path, both do nothing.
    """

    def __init__(self, option: str, path: Path | None, hidden: Path | None) -> None:
        self._option = option
        self._path = path
        self._hidden = hidden
        self._filled = False

    @classmethod
    @contextlib.contextmanager
    def at(cls, option: str, path: Path | None) -> Iterator[PendingFile]:
        """Reserve a place before the work begins; ``option`` is what users call it.

        Raises ``ConfigError`` when nothing can be written there.
        """
        if path is None:
            yield cls(option, None, None)
            return
        if path.is_dir():
            raise ConfigError(f"{option} {path} is a directory; give the path of a file.")
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        except OSError as error:
            raise ConfigError(
                f"{option} {path} cannot be written ({error.strerror or error}); give a file in a "
                "directory that exists and that you can write to."
            ) from None
        os.close(descriptor)
        try:
            yield cls(option, path, Path(name))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)

    def fill(self, content: Callable[[], str]) -> None:
        """Write what ``content`` gives; it is not called when no file was asked for.

        Raises ``ConfigError`` where it does not fit.
        """
        if self._hidden is not None:
            text = content()
            try:
                self._hidden.write_text(text, encoding="utf-8")
            except OSError as error:
                raise ConfigError(
                    f"{self._option} {self._path} cannot be written ({error.strerror or error}); "
                    "nothing was written, make room or give another place."
                ) from None
            self._filled = True

    def publish(self) -> None:
        """Put the file in its place, with the permissions a new file has."""
        if self._filled and self._path is not None and self._hidden is not None:
            mask = os.umask(0)
            os.umask(mask)
            self._hidden.chmod(0o666 & ~mask)
            os.replace(self._hidden, self._path)
