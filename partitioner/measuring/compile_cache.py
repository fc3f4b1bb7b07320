"""Not compiling the same segment twice, in one run or in the next.

An entry is found by the hash of everything the result depends on: the compiler's own file, what
it says its version is (its file may be a script that only calls another), its options and the
segment.  Segments that do not compile are not kept: the next time may have more memory or more
patience.
"""

from __future__ import annotations

import hashlib
import re
import struct
import threading
from typing import Protocol

from compiler import Graph, cut_operators
from partitioner.measuring.compilers import SegmentCompiler, SegmentFiles
from partitioner.measuring.kept import KeptFiles
from partitioner.problem import Range, operators_of

_LOG_BYTES = struct.Struct("<Q")
"""What an entry begins with: bytes of the log, which comes before the executable."""

_STEM = "segment"


class FingerprintedCompiler(SegmentCompiler, Protocol):
    """A compiler that can say what its results depend on beside the segment."""

    def fingerprint(self) -> bytes: ...


class CachedCompiler:
    """A compiler in front of which a directory remembers; a :class:`SegmentCompiler` itself."""

    def __init__(self, compiler: FingerprintedCompiler, graph: Graph, kept: KeptFiles) -> None:
        self._compiler = compiler
        self._graph = graph
        self._kept = kept
        self._fingerprint: bytes | None = None  # asked for when it is needed: that may take long
        self.hits = 0
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    @property
    def name(self) -> str:
        return self._compiler.name

    def compile(self, segment: Range, stem: str) -> SegmentFiles:
        """What the compiler makes of the segment, now or earlier, under the name ``stem``."""
        model = cut_operators(self._graph, operators_of(segment))
        with self._lock:
            if self._fingerprint is None:
                self._fingerprint = self._compiler.fingerprint()
        digest = hashlib.sha256(self._fingerprint + hashlib.sha256(model).digest()).hexdigest()
        with self._lock:
            turn = self._turns.setdefault(digest, threading.Lock())
        with turn:  # who asks for the same segment meanwhile waits for the first
            entry = self._kept.read(digest)
            if entry is None:
                made = self._compiler.compile(segment, _STEM)
                entry = _packed(made.executable, made.log)
                self._kept.write(digest, entry)
            else:
                self.hits += 1
        executable, log = _unpacked(entry)
        # The log names files; a segment is compiled before it is known what it will be called.
        named = re.sub(rf"\b{_STEM}(?=(_edgetpu)?\.(tflite|log))", lambda _: stem, log)
        return SegmentFiles(model, executable, named)


def _packed(executable: bytes, log: str) -> bytes:
    text = log.encode()
    return _LOG_BYTES.pack(len(text)) + text + executable


def _unpacked(entry: bytes) -> tuple[bytes, str]:
    (log_bytes,) = _LOG_BYTES.unpack_from(entry)
    rest = entry[_LOG_BYTES.size :]
    return rest[log_bytes:], rest[:log_bytes].decode(errors="replace")
