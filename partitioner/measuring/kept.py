"""A directory in which small results are kept for the next run, each whole or not at all.

An entry is found by a hash of all that it depends on.  Entries are written beside their place and
moved; one that is damaged all the same is known by its own hash, and is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from devices.errors import ConfigError

_MAGIC = b"EPKEPT\x002\n"
_HEAD_BYTES = len(_MAGIC) + hashlib.sha256().digest_size


class KeptFiles:
    """Entries by name.  Safe to use from any thread, and by several programs at once."""

    def __init__(self, directory: Path, *, limit_bytes: int) -> None:
        """Above the limit, entries not used for longest are removed now.

        Raises ``ConfigError`` when ``directory`` cannot be made or written.
        """
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            raise ConfigError(
                f"cache_dir {directory} cannot be used ({error.strerror or error}); give another "
                "directory, or --no-cache."
            ) from None
        _prune(directory, limit_bytes)

    def read(self, name: str) -> bytes | None:
        """The entry, ``None`` if there is none or it is damaged."""
        path = self._directory / name
        try:
            data = path.read_bytes()
            content = data[_HEAD_BYTES:]
            if data[:_HEAD_BYTES] != _MAGIC + hashlib.sha256(content).digest():
                return None
            os.utime(path)
        except OSError:
            return None
        return content

    def write(self, name: str, content: bytes) -> None:
        """Keep an entry; a full disk costs the entry, not the run."""
        with contextlib.suppress(OSError):
            descriptor, hidden = tempfile.mkstemp(prefix=".new-", dir=self._directory)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_MAGIC + hashlib.sha256(content).digest() + content)
                os.replace(hidden, self._directory / name)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(hidden)
                raise


def default_cache_directory() -> Path:
    """``edgetpu-pipeline`` where the XDG base directory specification puts caches.

    Raises ``RuntimeError`` where there is no home.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return base / "edgetpu-pipeline"


def _prune(directory: Path, limit_bytes: int) -> None:
    """Remove the entries used longest ago until the rest fits the limit."""
    entries: list[tuple[float, int, Path]] = []
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            with contextlib.suppress(OSError):
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= limit_bytes:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
