"""Writing the files of one command: all of them appear, or none.

Every room above writes files, and none of them should do it twice, so this lives below all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from devices.errors import ConfigError

_IN_USE = ".in-use"
"""A file in a passing directory that its program holds a lock on, until both are gone."""


def write_together(directory: Path, files: Mapping[str, bytes], *, option: str = "out_dir") -> None:
    """Write ``files`` (name to contents) into ``directory``, which is created if absent.

    See :func:`write_all`; the directory was named by the ``option``.
    """
    write_all({option: (directory, files)})


def write_all(
    groups: Mapping[str, tuple[Path, Mapping[str, bytes]]],
    *,
    undisturbed: contextlib.AbstractContextManager[None] | None = None,
) -> None:
    """Write files into several directories, created if absent, by the options that named them.

    Everything is written to hidden directories beside its place first and moved when all of it
    is on disk, which takes a moment, under ``undisturbed``; existing files are replaced whole.
    What killed programs left in such directories is removed.  If moving fails half way, files that
    this call added are taken away again.  Raises ``ConfigError``, which calls a directory by its
    option, when it cannot be used.
    """
    added: list[Path] = []
    with contextlib.ExitStack() as stack:
        moves: list[tuple[str, Path, Path]] = []
        for option, (directory, files) in groups.items():
            with _named(option, directory):
                directory.mkdir(parents=True, exist_ok=True)
                staging = stack.enter_context(passing_directory(".edgetpu-", directory))
                for name, content in files.items():
                    _write(staging / name, content)
                    moves.append((option, staging / name, directory / name))
        with undisturbed or contextlib.nullcontext(), stack.pop_all():
            try:
                for option, source, target in moves:
                    if not target.exists():
                        added.append(target)
                    with _named(option, target.parent):
                        os.replace(source, target)
            except BaseException:
                for target in added:
                    with contextlib.suppress(OSError):
                        target.unlink()
                raise


@contextlib.contextmanager
def passing_directory(prefix: str, place: Path) -> Iterator[Path]:
    """A new directory in ``place``, named from ``prefix`` on, that goes with the body.

    First, those that the user's killed programs left there are removed.  What is in use is told by
    a lock; where a system or a file system has none, nothing is removed.  Raises ``OSError``.
    """
    with contextlib.suppress(ImportError):
        _remove_abandoned(prefix, place)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as made,
        open(Path(made, ".begun"), "wb") as file,
    ):
        with contextlib.suppress(ImportError, OSError):
            import fcntl  # the compiler writes files where there is none

            fcntl.flock(file, fcntl.LOCK_EX)
            os.rename(file.name, Path(made, _IN_USE))  # only now others may look at it
        yield Path(made)


def _remove_abandoned(prefix: str, place: Path) -> None:
    import fcntl

    for directory in place.glob(f"{prefix}*"):
        with contextlib.suppress(OSError), open(directory / _IN_USE, "rb") as file:
            if os.fstat(file.fileno()).st_uid == os.getuid():
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _named(option: str, directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{option} {directory} cannot be written ({error.strerror or error}); "
            "name a directory in which files can be created."
        ) from None
