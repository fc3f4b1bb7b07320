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
    is on disk, which takes a moment, under ``undisturbed``; existing files are replaced whole.  If
    moving fails half way, files that this call added are taken away again.  Raises ``ConfigError``,
    which calls a directory by its option, when it cannot be used.
    """
    added: list[Path] = []
    with contextlib.ExitStack() as stack:
        moves: list[tuple[str, Path, Path]] = []
        for option, (directory, files) in groups.items():
            with _named(option, directory):
                directory.mkdir(parents=True, exist_ok=True)
                staging = Path(tempfile.mkdtemp(prefix=".edgetpu-", dir=directory))
                stack.callback(shutil.rmtree, staging, ignore_errors=True)
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
