"""Writing the files of one command: all of them appear, or none.

Every room above writes files, and none of them should do it twice, so this lives below all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from devices.errors import ConfigError


def write_together(directory: Path, files: Mapping[str, bytes], *, option: str = "out_dir") -> None:
    """Write ``files`` (name to contents) into ``directory``, which is created if absent.

    Everything is written to a hidden directory beside its place first and moved when all of it
    is on disk; existing files are replaced whole.  If moving fails half way, files that this call
    added are taken away again.  Raises ``ConfigError``, which calls the directory by the ``option``
    that named it, when it cannot be used.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".edgetpu-", dir=directory))
    except OSError as error:
        raise _unusable(option, directory, error) from None
    added: list[Path] = []
    try:
        for name, content in files.items():
            _write(staging / name, content)
        for name in files:
            target = directory / name
            if not target.exists():
                added.append(target)
            os.replace(staging / name, target)
    except BaseException as error:
        for target in added:
            with contextlib.suppress(OSError):
                target.unlink()
        if isinstance(error, OSError):
            raise _unusable(option, directory, error) from None
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _unusable(option: str, directory: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{option} {directory} cannot be written ({error.strerror or error}); "
        "name a directory in which files can be created."
    )
