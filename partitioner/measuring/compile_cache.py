"""Not compiling the same segment twice, in one run or in the next.

An entry is found by the hash of everything the result depends on: the compiler's own file, what
it says its version is (its file may be a script that only calls another), its options and the
segment.  Entries appear whole (written beside their place and moved); one that is damaged all the
same is known by its own hash and compiled anew.  Segments that do not compile are not kept: the
next time may have more memory or more patience.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
import tempfile
import threading
from pathlib import Path
from typing import Protocol

from compiler import Graph, cut_operators
from devices.errors import ConfigError
from partitioner.measuring.compilers import SegmentCompiler, SegmentFiles
from partitioner.problem import Range, operators_of

_MAGIC = b"EPSEG\x001\n"
_HEADER = struct.Struct("<8s32sQ")
"""Magic, SHA-256 of the rest, bytes of the log, which comes first."""

_STEM = "segment"

LIMIT_BYTES = 2 * 2**30
"""Above this, entries not used for longest are removed when the cache is opened."""


class FingerprintedCompiler(SegmentCompiler, Protocol):
    """A compiler that can say what its results depend on beside the segment."""

    def fingerprint(self) -> bytes: ...


def default_cache_directory() -> Path:
    """``edgetpu-pipeline/segments`` where the XDG base directory specification puts caches."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return base / "edgetpu-pipeline" / "segments"


class CachedCompiler:
    """A compiler in front of which a directory remembers; a :class:`SegmentCompiler` itself."""

    def __init__(
        self,
        compiler: FingerprintedCompiler,
        graph: Graph,
        directory: Path,
        *,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        """Raises ``ConfigError`` when ``directory`` cannot be made or written."""
        self._compiler = compiler
        self._graph = graph
        self._directory = directory
        self._fingerprint = compiler.fingerprint()
        self.hits = 0
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
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

    @property
    def name(self) -> str:
        return self._compiler.name

    def compile(self, segment: Range, stem: str) -> SegmentFiles:
        """What the compiler makes of the segment, now or earlier, under the name ``stem``."""
        model = cut_operators(self._graph, operators_of(segment))
        digest = hashlib.sha256(self._fingerprint + hashlib.sha256(model).digest()).hexdigest()
        path = self._directory / digest
        with self._lock:
            turn = self._turns.setdefault(digest, threading.Lock())
        with turn:  # who asks for the same segment meanwhile waits for the first
            entry = _read(path)
            if entry is None:
                made = self._compiler.compile(segment, _STEM)
                entry = made.executable, made.log
                _store(path, *entry)
            else:
                self.hits += 1
        executable, log = entry
        # The log names files; a segment is compiled before it is known what it will be called.
        named = re.sub(rf"\b{_STEM}(?=(_edgetpu)?\.(tflite|log))", lambda _: stem, log)
        return SegmentFiles(model, executable, named)


def _read(path: Path) -> tuple[bytes, str] | None:
    """Executable and log, ``None`` if there is no entry or it is damaged."""
    try:
        data = path.read_bytes()
        magic, digest, log_bytes = _HEADER.unpack_from(data)
        rest = data[_HEADER.size :]
        if magic != _MAGIC or hashlib.sha256(rest).digest() != digest or log_bytes > len(rest):
            return None
        os.utime(path)
    except (OSError, struct.error):
        return None
    return rest[log_bytes:], rest[:log_bytes].decode(errors="replace")


def _store(path: Path, executable: bytes, log: str) -> None:
    """Keep an entry; a full disk costs the entry, not the run."""
    text = log.encode()
    rest = text + executable
    data = _HEADER.pack(_MAGIC, hashlib.sha256(rest).digest(), len(text)) + rest
    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


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
