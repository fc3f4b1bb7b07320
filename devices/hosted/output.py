"""What a device process writes to its standard output and error.

Nothing of it reaches the user's terminal (LiteRT, for one, announces its delegate there in every
process): lines become DEBUG log records, and the last of them are quoted when the process dies.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import IO

from devices.process import SafeLogger

_KEPT_LINES = 200
_CRASH = "Fatal Python error"
_CRASHED_THREAD = "Current thread"
"""With these faulthandler begins when native code ends the process, and the stack it was in."""


class OutputTail:
    """Reads a pipe to its end in a thread of its own, so that the writer never blocks for long."""

    def __init__(self, pipe: IO[bytes], logger: SafeLogger) -> None:
        self._pipe = pipe
        self._logger = logger
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._thread = threading.Thread(
            target=self._read, name=f"{logger.name} output", daemon=True
        )
        self._thread.start()

    def finish(self) -> None:
        """Wait for the rest of the output of a process that has ended.

        Bounded, because a descendant of the process may hold the pipe open.
        """
        self._thread.join(1.0)

    def quote(self) -> str:
        """The last lines as an addition to an error message; empty if there were none.

        Of the stacks of a crash only where it happened: the rest is in the log records.
        """
        lines = [line for line in _without_stacks(list(self._lines)) if line.strip()]
        if not lines:
            return ""
        return "; its last output was:\n" + "\n".join(f"  {line}" for line in lines)

    def _read(self) -> None:
        with self._pipe:
            rest = b""
            while chunk := self._pipe.read(65536):
                *lines, rest = (rest[-65536:] + chunk).split(b"\n")
                for line in lines:
                    self._keep(line)
            if rest:
                self._keep(rest)

    def _keep(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        self._lines.append(text)
        self._logger.debug("%s", text)


def _without_stacks(lines: list[str]) -> list[str]:
    crash = next((n for n, line in enumerate(lines) if line.startswith(_CRASH)), len(lines))
    for number in range(crash, len(lines) - 1):
        if lines[number].startswith(_CRASHED_THREAD):
            return [*lines[:crash], lines[number + 1]]
    return lines[:crash]
