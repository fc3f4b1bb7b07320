"""The directory results go to: checked before the work, written after it, left as it was if the
work fails."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from devices.errors import ConfigError


@contextlib.contextmanager
def usable_directory(directory: Path) -> Iterator[Path]:
    """Make sure that ``directory`` exists, with its parents, and can be written.

    If the body raises, directories made here are removed again, unless something is in them.
    Raises ``ConfigError``.
    """
    absent = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except FileExistsError:
            raise ConfigError(
                f"output_dir {directory} is not a valid directory: a file of that name exists; "
                "give another directory."
            ) from None
        except NotADirectoryError:
            raise ConfigError(
                f"output_dir {directory} is not a valid directory: part of its path is a file; "
                "give another directory."
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
        yield directory
    except BaseException:
        for path in absent:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
