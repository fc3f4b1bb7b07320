"""Where results go to: checked before the work, written after it, left as it was if the work
fails."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from devices.errors import ConfigError

_PAGE = b"<!doctype html>"
"""What the pages begin with that are written here."""

_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def usable_directory(directory: Path) -> Iterator[Path]:
    """Make sure that ``directory`` exists, with its parents, can be written, and is nobody else's.

    Directories made here are removed again, unless something is in them in the end.
    Raises ``ConfigError``, also where another run writes to that directory.
    """
    absent: list[Path] = []
    try:
        try:
            absent += [path for path in (directory, *directory.parents) if not path.exists()]
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except (FileExistsError, NotADirectoryError) as error:
            there = isinstance(error, FileExistsError)
            what = "a file of that name exists" if there else "part of its path is a file"
            raise ConfigError(
                f"output_dir {directory} is not a valid directory: {what}; give another directory."
            ) from None
        except PermissionError:
            raise ConfigError(
                f"permission denied to output_dir {directory}; give a directory you can write to."
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"output_dir {directory} cannot be used ({reason}); give another directory."
            ) from None
        with _claimed(directory):
            yield directory
    finally:
        for path in absent:
            with contextlib.suppress(OSError):
                path.rmdir()


def check_place(option: str, path: Path, taken: Iterable[Path]) -> None:
    """Raise ``ConfigError`` where a file that users call by ``option`` cannot be written.

    Nor may it be one that is written besides (``taken``), or anything else than a page that was
    written before: a model, say, after a slip in the command line.
    """
    if path.resolve() in {other.resolve() for other in taken}:
        raise ConfigError(f"{option} {path} is written besides; give another path.")
    if path.is_dir():
        raise ConfigError(f"{option} {path} is a directory; give the path of a file.")
    if path.exists() and not path.is_file():  # a device, which would be replaced
        raise ConfigError(f"{option} {path} is no regular file; give the path of one.")
    if path.exists() and path.read_bytes()[: len(_PAGE)] not in (b"", _PAGE):
        raise ConfigError(
            f"{option} {path} is there and no HTML page, which would be lost; give another path."
        )
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"{option} {path} cannot be written ({error.strerror or error}); give a file in a "
            "directory that exists and that you can write to."
        ) from None


@contextlib.contextmanager
def _claimed(directory: Path) -> Iterator[None]:
    """Hold the directory for this run, which ends with the program however that ends.

    The lock is on the directory itself, so nothing lies in it.  Not every file system has such
    locks; then there is none.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"output_dir {directory} is in use by another run of partition-with-profiling, "
                "which would write the same files; wait for it, or give another directory."
            ) from None
        except OSError as error:
            _LOGGER.debug("output_dir %s cannot be locked: %s", directory, error)
        yield
    finally:
        os.close(descriptor)
