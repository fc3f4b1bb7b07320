"""How far long work is, on a terminal in one line that changes, elsewhere a line per step."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO


class Progress:
    """Shows steps until it is left; writes nothing to a stream that is closed or absent."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._changing = stream is not None and stream.isatty()
        self._step = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._changing and self._step:
            self._write("\r\x1b[K")

    def tell(self, step: str, done: int, of: int) -> None:
        """``done`` of ``of`` parts of a step are done."""
        amount = f" {done} of {of}" if of > 1 else ""
        if self._changing:
            self._write(f"\r\x1b[K{step}{amount}")
        elif step != self._step:
            self._write(f"{step}{f' ({of})' if of > 1 else ''}\n")
        self._step = step

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
